//! Labels on the command line.

use std::collections::BTreeMap;

/// Parses `KEY=VALUE`.
pub fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
        _ => Err("a label is a key and a value, as in app=shop".to_string()),
    }
}

/// The labels, each of which is there once.
pub fn unique(labels: Vec<(String, String)>) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for (key, value) in labels {
        if all.insert(key.clone(), value).is_some() {
            return Err(format!(
                "the label {key} is there twice; a VM has each once"
            ));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_key_and_a_value() {
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert_eq!(parse("app=a=b"), Ok(pair("app", "a=b")));
        assert_eq!(parse("app="), Ok(pair("app", "")));
        assert!(parse("app").is_err() && parse("=shop").is_err());
        assert!(unique(vec![pair("a", "1"), pair("a", "1")]).is_err());
    }
}
