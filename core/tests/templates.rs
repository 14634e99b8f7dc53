//! Templates against Go's own output.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::template::{Budget, Data, Elapsed, Sources, TemplateError, render_text};
use zeroize::Zeroizing;

/// A clock that stands still, numbers that are not random, and time that never runs out.
struct Fixed(u64);

impl Sources for Fixed {
    fn now(&mut self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }
    fn local_zone(&mut self) -> TimeZone {
        TimeZone::UTC
    }
    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }
    fn fill_random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
    }
    fn elapsed(&mut self) -> Elapsed {
        Elapsed::default()
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    name: String,
    tpl: String,
    data: BTreeMap<String, String>,
    out: String,
    ok: bool,
}

fn render(template: &str, data: &BTreeMap<String, String>) -> Result<Vec<u8>, TemplateError> {
    let items: Data =
        data.iter().map(|(key, value)| (key.clone(), Zeroizing::new(value.clone().into_bytes()))).collect();
    Ok(render_text("case", template, &items, &Budget::default(), &mut Fixed(1))?.to_vec())
}

#[test]
fn a_zone_in_another_case_is_none_although_the_source_finds_it() {
    let hour = |zone: &str| {
        let template = format!("{{{{ dateInZone \"15\" 0 \"{zone}\" }}}}");
        String::from_utf8(render(&template, &BTreeMap::new()).unwrap()).unwrap()
    };
    assert_eq!((hour("Asia/Tokyo"), hour("asia/tokyo")), ("09".to_owned(), "00".to_owned()));
}

#[test]
fn every_recorded_case_gives_the_result_of_go() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/go-templates.json")).unwrap();
    assert_eq!(cases.len(), 189);
    let mut wrong = Vec::new();
    for case in cases {
        let rendered = render(&case.tpl, &case.data);
        let agrees = match (&rendered, case.ok) {
            (Ok(output), true) => String::from_utf8_lossy(output) == case.out,
            (Err(_), false) => true,
            _ => false,
        };
        if !agrees {
            wrong.push(format!(
                "{}: {} gave {:?}, Go {:?}",
                case.name,
                case.tpl,
                rendered.map(|out| String::from_utf8_lossy(&out).into_owned()),
                case.out
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
