//! Values that no type of serde's own reads as they should be written.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::{
    BoolDeserializer, F64Deserializer, I64Deserializer, MapAccessDeserializer, StrDeserializer,
    U64Deserializer,
};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A time with its unit: `"250ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time with its unit, such as \"250ms\" or \"5s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        let time = humantime::parse_duration(text);
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Str(text), &self);
        time.map(Time).map_err(wrong)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeVisitor)
    }
}

/// A value, or `false` for what is not to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum OrOff<T> {
    Off,
    On(T),
}

impl<T> OrOff<T> {
    pub(super) fn on(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

struct OrOffVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OrOffVisitor<T> {
    type Value = OrOff<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or false to have none")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<OrOff<T>, E> {
        if on {
            // It says what it expects.
            return T::deserialize(BoolDeserializer::new(on)).map(OrOff::On);
        }
        Ok(OrOff::Off)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<OrOff<T>, E> {
        T::deserialize(I64Deserializer::new(number)).map(OrOff::On)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<OrOff<T>, E> {
        T::deserialize(U64Deserializer::new(number)).map(OrOff::On)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<OrOff<T>, E> {
        T::deserialize(F64Deserializer::new(number)).map(OrOff::On)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OrOff<T>, E> {
        T::deserialize(StrDeserializer::new(text)).map(OrOff::On)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OrOff<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(OrOff::On)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrOffVisitor(PhantomData))
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct Texts(pub(super) Vec<String>);

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(Texts(texts))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

/// A status, or the first and the last of several: `204`, `"200-299"`.
#[derive(Clone, Debug)]
pub(super) struct Statuses(pub(super) RangeInclusive<u16>);

struct StatusesVisitor;

impl Visitor<'_> for StatusesVisitor {
    type Value = Statuses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status, such as 204, or the first and the last, such as \"200-299\"")
    }

    fn visit_i64<E: Error>(self, status: i64) -> Result<Statuses, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Signed(status), &self);
        let status = u16::try_from(status).map_err(wrong)?;
        Ok(Statuses(status..=status))
    }

    fn visit_u64<E: Error>(self, status: u64) -> Result<Statuses, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Unsigned(status), &self);
        let status = u16::try_from(status).map_err(wrong)?;
        Ok(Statuses(status..=status))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Ok(Statuses(first..=last)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusesVisitor)
    }
}
