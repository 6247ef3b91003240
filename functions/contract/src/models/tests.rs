use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use super::*;

fn fits(id: &str, region: &str) -> Result<(), String> {
    let fits = ModelId::parse(id).fits(region);
    fits.map_err(|misfit| misfit.to_string())
}

#[test]
fn an_id_is_taken_apart_at_its_longest_prefix() {
    for (id, geography, base) in [
        ("us.anthropic.x", Some(Geography::Us), "anthropic.x"),
        ("us-gov.anthropic.x", Some(Geography::UsGov), "anthropic.x"),
        ("global.anthropic.x", Some(Geography::Global), "anthropic.x"),
        ("anthropic.x", None, "anthropic.x"),
        ("usanthropic.x", None, "usanthropic.x"),
        ("offline-judge", None, "offline-judge"),
    ] {
        assert_eq!(ModelId::parse(id), ModelId { geography, base }, "{id}");
    }
    for geography in Geography::ALL {
        let id = format!("{}.x", geography.prefix());
        assert_eq!(ModelId::parse(&id).geography, Some(geography));
    }
}

#[test]
fn a_prefix_of_another_part_of_the_world_is_told_with_those_that_fit() {
    assert_eq!(fits("us.anthropic.claude-haiku-5-5", "us-east-1"), Ok(()));
    assert_eq!(
        fits("global.anthropic.claude-haiku-5-5", "eu-west-1"),
        Ok(())
    );
    assert_eq!(
        fits("us.anthropic.claude-haiku-5-5", "eu-west-1").unwrap_err(),
        "`us.anthropic.claude-haiku-5-5` cannot be asked for in eu-west-1; there it is \
         eu.anthropic.claude-haiku-5-5 or global.anthropic.claude-haiku-5-5"
    );
    // The newest models are behind profiles only.
    let bare = fits("anthropic.claude-sonnet-5-5", "us-east-1").unwrap_err();
    assert!(
        bare.contains("there it is us.anthropic.claude-sonnet-5-5 or global."),
        "{bare}"
    );
    // A profile that exists, though not for this model.
    let apac = fits("apac.anthropic.claude-haiku-5-5", "ap-northeast-1").unwrap_err();
    assert!(apac.contains("jp.anthropic.claude-haiku-5-5"), "{apac}");
    let gov = fits("global.anthropic.claude-sonnet-5", "us-gov-west-1").unwrap_err();
    assert!(
        gov.ends_with("there it is anthropic.claude-sonnet-5"),
        "{gov}"
    );
}

#[test]
fn of_a_model_that_is_not_in_the_table_only_the_prefix_is_judged() {
    assert_eq!(fits("amazon.nova-lite-v1:0", "eu-west-1"), Ok(()));
    assert_eq!(fits("eu.amazon.nova-lite-v1:0", "eu-west-1"), Ok(()));
    let error = fits("eu.amazon.nova-lite-v1:0", "us-east-1").unwrap_err();
    assert!(
        error.contains("us.amazon.nova-lite-v1:0 or global."),
        "{error}"
    );
}

#[test]
fn a_model_has_ended_from_the_day_of_its_end_on() {
    let model = ModelId::parse("us.anthropic.claude-sonnet-4-5-20250929-v1:0").known();
    let model = model.unwrap();
    assert!(!model.has_ended("2026-11-29"));
    assert!(model.has_ended("2026-11-30"));
    let model = ModelId::parse("anthropic.claude-haiku-5-5")
        .known()
        .unwrap();
    assert!(!model.has_ended("2099-01-01"));
}

#[test]
fn a_geography_costs_a_tenth_more_and_govcloud_a_fifth() {
    let model = ModelId::parse("anthropic.claude-haiku-5-5")
        .known()
        .unwrap();
    let input = |geography| model.price(Some(geography)).input;
    assert_eq!(input(Geography::Global), 100_000);
    assert_eq!(input(Geography::Us), 110_000);
    assert_eq!(input(Geography::UsGov), 120_000);
    assert_eq!(model.price(Some(Geography::Us)).cache_write, 137_500);
    let titan = ModelId::parse("amazon.titan-embed-text-v2:0").known();
    assert_eq!(titan.unwrap().price(None).input, 20_000);
}

#[test]
fn the_table_is_consistent() {
    let day = |text: &str| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    assert!(day(AS_OF));
    let ids: HashSet<_> = TABLE.iter().map(|model| model.id).collect();
    assert_eq!(ids.len(), TABLE.len());
    for model in &TABLE {
        assert_eq!(ModelId::parse(model.id).geography, None, "{}", model.id);
        assert!(
            model.in_region || !model.profiles.is_empty(),
            "{}",
            model.id
        );
        assert!(
            model.max_output_tokens < model.context_tokens,
            "{}",
            model.id
        );
        assert!(model.sources.len() > 20, "{}", model.id);
        match model.lifecycle {
            Lifecycle::Active(None) => {}
            Lifecycle::Active(Some(date)) | Lifecycle::Legacy(date) => assert!(day(date)),
        }
    }
}

/// A price of the table as dollars, without zeros that say nothing.
fn dollars(millionths: u32) -> String {
    let text = format!("{:.4}", f64::from(millionths) / 1e6);
    let (whole, part) = text.split_once('.').unwrap();
    format!("{whole}.{:0<2}", part.trim_end_matches('0'))
}

/// The part of `docs/costs.md` that the table writes.
fn page() -> String {
    let mut page = format!(
        "As of {AS_OF}, US dollars for a million tokens by the `global` profile; `us`, `eu` and the other geographies \
         cost a tenth more, `us-gov` a fifth.\n\n\
         | Model | Profiles | State | In | Out | Cache write, 5 min | Cache read | Context | Longest answer | Answers by |\n\
         |---|---|---|---|---|---|---|---|---|---|\n"
    );
    for model in &TABLE {
        let prefixes: Vec<_> = model.profiles.iter().map(|it| it.prefix()).collect();
        let state = match model.lifecycle {
            Lifecycle::Active(None) => "active".to_owned(),
            Lifecycle::Active(Some(day)) => format!("active, at least until {day}"),
            Lifecycle::Legacy(day) => format!("ends {day}"),
        };
        let answers = match model.answers {
            Answers::ForcedTool => "forced tool",
            Answers::OfferedTool => "offered tool",
            Answers::Vector => "vector",
        };
        let price = model.price;
        writeln!(
            page,
            "| `{}` | {} | {state} | {} | {} | {} | {} | {} | {} | {answers} |",
            model.id,
            if prefixes.is_empty() {
                "none".to_owned()
            } else {
                prefixes.join(" ")
            },
            dollars(price.input),
            dollars(price.output),
            dollars(price.cache_write),
            dollars(price.cache_read),
            model.context_tokens,
            model.max_output_tokens,
        )
        .unwrap();
    }
    page.push_str("\nWhere each row is from:\n\n");
    for model in &TABLE {
        writeln!(page, "- `{}`: {}.", model.id, model.sources).unwrap();
    }
    page
}

#[test]
fn the_costs_page_has_the_table() {
    const BEGIN: &str = "<!-- models: made from functions/contract/src/models/table.rs -->\n";
    const END: &str = "<!-- models end -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/costs.md");
    let there = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = there.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{page}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, page, "write it anew with UPDATE_DOCS=1");
}
