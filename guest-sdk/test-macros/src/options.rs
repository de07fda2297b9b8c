//! What is said about a test: options of the attribute, and the attributes that Rust's own tests
//! have too.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitInt, LitStr, Meta};

/// What a test says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// It is left out unless it is asked for; and why.
    pub ignore: Option<String>,
    /// It passes when it panics with a message that this is part of.
    pub should_panic: Option<String>,
    /// How many vCPUs it needs.
    pub vcpus: Option<u32>,
    /// How much memory it needs, in MiB.
    pub memory: Option<u32>,
}

impl Options {
    /// Takes what is in the brackets of `#[guest_test(...)]`.
    ///
    /// # Errors
    ///
    /// On an unknown option, and on a value that is no number.
    pub fn take_argument(&mut self, meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
        let place = if meta.path.is_ident("vcpus") {
            &mut self.vcpus
        } else if meta.path.is_ident("memory") {
            &mut self.memory
        } else {
            return Err(meta.error("guest_test takes `vcpus = N` and `memory = N` (in MiB)"));
        };
        let number: LitInt = meta.value()?.parse()?;
        *place = Some(number.base10_parse()?);
        Ok(())
    }

    /// Takes what an attribute of the function says; whether it was one of those.
    ///
    /// # Errors
    ///
    /// On a form that Rust's own tests do not know either.
    pub fn take_attribute(&mut self, attribute: &Attribute) -> Result<bool, Error> {
        if attribute.path().is_ident("ignore") {
            self.ignore = Some(match &attribute.meta {
                Meta::Path(_) => String::new(),
                Meta::NameValue(pair) => text(&pair.value)?,
                Meta::List(list) => return Err(Error::new_spanned(list, "#[ignore = \"why\"]")),
            });
        } else if attribute.path().is_ident("should_panic") {
            self.should_panic = Some(match &attribute.meta {
                Meta::Path(_) => String::new(),
                Meta::NameValue(pair) => text(&pair.value)?,
                Meta::List(list) => {
                    let mut expected = String::new();
                    list.parse_nested_meta(|meta| {
                        if !meta.path.is_ident("expected") {
                            return Err(meta.error("should_panic takes `expected = \"...\"`"));
                        }
                        expected = meta.value()?.parse::<LitStr>()?.value();
                        Ok(())
                    })?;
                    expected
                }
            });
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn text(value: &Expr) -> Result<String, Error> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text.value()),
        other => Err(Error::new_spanned(other, "a string literal goes here")),
    }
}
