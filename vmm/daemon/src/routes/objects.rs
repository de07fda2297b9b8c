//! JSON in which what is to be an object is one. serde takes an array for a structure too, its fields in
//! their order, of which the API's document knows nothing.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

/// A value to be taken apart.
#[derive(Debug)]
pub struct Objects(pub Value);

type Entries<'de> = MapDeserializer<'de, Box<dyn Iterator<Item = (String, Objects)>>, Error>;

fn entries<'de>(map: Map<String, Value>) -> Entries<'de> {
    let entries = map.into_iter().map(|(name, value)| (name, Objects(value)));
    MapDeserializer::new(Box::new(entries))
}

impl<'de> IntoDeserializer<'de, Error> for Objects {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Objects {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Objects)))
            }
            Value::Object(map) => visitor.visit_map(entries(map)),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            // Its only entry is the variant.
            Value::Object(map) if map.len() == 1 => {
                MapAccessDeserializer::new(entries(map)).deserialize_enum(name, variants, visitor)
            }
            other => other.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        number: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        Plain,
        Named { inner: Inner },
        Newtype(Inner),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Wrapped(Inner);

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Outer {
        inner: Option<Inner>,
        list: Vec<Inner>,
        by_name: BTreeMap<String, Inner>,
        choices: Vec<Choice>,
        wrapped: Option<Wrapped>,
        pair: Option<(u8, String)>,
        float: f64,
    }

    fn read(value: Value) -> Result<Outer, String> {
        Outer::deserialize(Objects(value)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_well_formed_is_as_serde_json_has_it() {
        let inner = json!({"number": 3});
        let whole = json!({
            "inner": inner,
            "list": [inner, inner],
            "by_name": {"a": inner},
            "choices": ["plain", {"named": {"inner": inner}}, {"newtype": inner}],
            "wrapped": inner,
            "pair": [1, "x"],
            "float": 1.5,
        });
        for value in [whole, json!({}), json!({"inner": null})] {
            let expected: Outer = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(read(value), Ok(expected));
        }
    }

    #[test]
    fn an_array_is_no_object_wherever_it_is() {
        let array = json!([3]);
        for value in [
            json!([null, []]),
            json!({"inner": array}),
            json!({"list": [array]}),
            json!({"by_name": {"a": array}}),
            json!({"by_name": []}),
            json!({"choices": [{"named": [{"number": 3}]}]}),
            json!({"choices": [{"named": {"inner": array}}]}),
            json!({"choices": [{"newtype": array}]}),
            json!({"wrapped": array}),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(
                error.starts_with("invalid type: sequence, expected "),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_as_serde_json_does() {
        for value in [
            json!("text"),
            json!({"inner": 3}),
            json!({"inner": {"number": 300}}),
            json!({"inner": {}}),
            json!({"choices": ["other"]}),
            json!({"choices": [{}]}),
            json!({"choices": [{"plain": 1}]}),
            json!({"choices": 1}),
            json!({"float": "x"}),
        ] {
            let expected = serde_json::from_value::<Outer>(value.clone());
            assert_eq!(read(value).unwrap_err(), expected.unwrap_err().to_string());
        }
    }
}
