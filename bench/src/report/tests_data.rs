//! A few results for the tests of the page.

use crate::results::Results;

pub fn results() -> Results {
    let setting = r#"{"is_quick":false,"rounds":3,"documents":1000,"tail":10,"engines":["pumice","redb"],
        "machine":{"date":"2026-01-02","processor":"P","cores":2,"memory_bytes":8000000000,"kernel":"6.1",
        "file_system":"ext4","load":0.1,"sync_seconds":0.00003,"rustc":"rustc 1.0"}}"#
        .replace('\n', "");
    let mut text = setting + "\n";
    let mut add = |engine: &str, case: &str, measures: &str| {
        let line = format!(r#"{{"case":"{case}","engine":"{engine}","round":1,"outcome":{{{measures}}}}}"#);
        text.extend([&line, "\n"]);
    };
    for per_second in [20_000, 30_000, 40_000] {
        let measures = format!(r#""measured":{{"per_second":{per_second},"bytes_written_per_put":4096}}"#);
        add("pumice", "puts/writers=1", &measures);
    }
    add("redb", "puts/writers=1", r#""measured":{"per_second":20000}"#);
    add("fjall", "puts/writers=1", r#""measured":{"per_second":40000}"#);
    add("raw", "puts/writers=1", r#""measured":{"per_second":35000}"#);
    add("raw-ahead", "puts/writers=1", r#""measured":{"per_second":60000}"#);
    add("sqlite", "puts/writers=1", r#""failed":"no more space""#);
    add("pumice", "slow-flush/writers=1", r#""measured":{"per_second":1000,"syncs_per_put":1}"#);
    add("pumice", "slow-flush/writers=8", r#""measured":{"per_second":7000,"syncs_per_put":0.14}"#);
    add("pumice", "open-warm/1000", r#""measured":{"first_get_seconds":0.0005,"resident_bytes":1000000}"#);
    add("redb", "open-warm/1000", r#""measured":{"first_get_seconds":0.001,"resident_bytes":0}"#);
    add("fjall", "open-warm/1000", r#""measured":{"first_get_seconds":0.1}"#);
    Results::parse(&text).unwrap()
}
