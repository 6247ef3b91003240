use std::path::{Path, PathBuf};

use annapurna_contract::PaperHost;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments")
}

fn edited(name: &str, from: &str, to: &str) -> EnvironmentError {
    let path = folder().join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {name}.toml");
    let shown = PathBuf::from(format!("environments/{name}.toml"));
    Environment::parse(name, &shown, &text.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn every_environment_of_the_project_is_valid() {
    let names = known_environments(&folder());
    assert_eq!(names, ["dev", "local", "prod"]);
    for name in names {
        Environment::load(&folder(), &name).unwrap();
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    let error = edited("dev", "timeout-secs", "timeout-sec");
    let EnvironmentError::Malformed {
        line,
        nearest,
        problem,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert!(line > 1);
    assert!(problem.contains("`timeout-sec`"), "{problem}");
    assert_eq!(nearest.as_deref(), Some("timeout-secs"));
}

#[test]
fn every_value_outside_its_range_is_named_at_once() {
    let path = folder().join("dev.toml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("batch-size = 10", "batch-size = 11")
        .replace("duplicate-similarity = 0.98", "duplicate-similarity = 7.0");
    let error = Environment::parse("dev", Path::new("dev.toml"), &text).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("testing.batch-size must be 1 to 10, got 11"),
        "{text}"
    );
    assert!(
        text.contains("judge.duplicate-similarity must be 0.5 to 1, got 7"),
        "{text}"
    );
}

#[test]
fn only_what_is_in_aws_and_kept_can_be_protected() {
    let prod = Environment::load(&folder(), "prod").unwrap();
    assert!(prod.protected);
    assert!(!Environment::load(&folder(), "dev").unwrap().protected);
    let lost = edited("prod", "retain-data = true", "retain-data = false");
    assert!(
        lost.to_string()
            .contains("protected needs retain-data = true"),
        "{lost}"
    );
    let here = edited(
        "local",
        "retain-data = false",
        "retain-data = false\nprotected = true",
    );
    let here = here.to_string();
    assert!(
        here.contains("protected does not go with [local]"),
        "{here}"
    );
}

#[test]
fn hosts_are_base_urls_and_only_some_name_the_conference() {
    let hosts = |lines: &str| {
        let path = folder().join("dev.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("[judge]", &format!("[scraper.hosts]\n{lines}\n[judge]"));
        Environment::parse("dev", Path::new("dev.toml"), &text)
    };
    let good =
        "virtual-site = \"https://{conference}.example.org\"\npmlr = \"http://127.0.0.1:80/p\"";
    let environment = hosts(good).unwrap();
    assert_eq!(environment.scraper.hosts.get(&PaperHost::Arxiv), None);
    assert_eq!(
        environment
            .scraper
            .hosts
            .get(&PaperHost::Pmlr)
            .map(String::as_str),
        Some("http://127.0.0.1:80/p")
    );
    for bad in [
        "arxiv = \"arxiv.org\"",
        "arxiv = \"https://arxiv.org/\"",
        "arxiv = \"https://arxiv.org?x=1\"",
        "arxiv = \"file:///etc\"",
        "openreview-api-v1 = \"https://{conference}.example.org\"",
        "proceedings = \"https://{venue}.example.org\"",
    ] {
        let error = hosts(bad).unwrap_err().to_string();
        assert!(error.contains("must be an address"), "{bad}: {error}");
    }
    let unknown = hosts("openreview-api = \"https://a.example\"").unwrap_err();
    assert!(unknown.to_string().contains("unknown field"), "{unknown}");
}

#[test]
fn an_environment_that_is_not_there_lists_what_is() {
    let error = Environment::load(&folder(), "prd").unwrap_err();
    assert!(
        matches!(error, EnvironmentError::Unknown { known, .. } if known == ["dev", "local", "prod"])
    );
    assert!(Environment::load(&folder(), "../environments/dev").is_err());
}

#[test]
fn another_opensearch_is_given_by_its_address() {
    let path = folder().join("local.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find("[search]").unwrap();
    let end = start + text[start + 1..].find("\n[").unwrap() + 1;
    let text = format!(
        "search = \"https://search.example.org\"\n{}{}",
        &text[..start],
        &text[end..]
    );
    let environment = Environment::parse("local", Path::new("local.toml"), &text).unwrap();
    assert_eq!(
        environment.search,
        SearchSettings::Url("https://search.example.org".to_owned())
    );
}

#[test]
fn an_instance_of_ones_own_is_named_by_its_id_and_is_the_only_one() {
    let with = |lines: &str| {
        let text = std::fs::read_to_string(folder().join("dev.toml")).unwrap();
        let text = text.replace("[trainium]", &format!("[trainium]\n{lines}"));
        Environment::parse("dev", Path::new("dev.toml"), &text)
    };
    for good in ["i-0123456789abcdef0", "i-01234567"] {
        with(&format!("instances = 0\ninstance-id = \"{good}\"")).unwrap();
    }
    for bad in [
        "",
        "i-",
        "i-0123456789ABCDEF0",
        "lt-0123456789abcdef0",
        "i-012345678",
    ] {
        let error = with(&format!("instances = 0\ninstance-id = \"{bad}\"")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("trainium.instance-id must be"), "{error}");
    }
    let beside = with("instance-id = \"i-0123456789abcdef0\"").unwrap_err();
    let beside = beside.to_string();
    assert!(
        beside.contains("goes with trainium.instances = 0 only"),
        "{beside}"
    );
}

#[test]
fn no_environment_has_the_name_of_anothers_stack_of_instances() {
    let path = folder().join("dev.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let dev = Environment::parse("dev", &path, &text).unwrap();
    let clash = Environment::parse("dev-trainium", &path, &text).unwrap_err();
    let clash = clash.to_string();
    assert!(clash.contains("must not end in `-trainium`"), "{clash}");
    assert_eq!(dev.instances_stack_name(), "annapurna-dev-trainium");
    for stack in [dev.stack_name(), dev.instances_stack_name()] {
        assert_eq!(Environment::of_stack(&stack), "dev");
    }
}

#[test]
fn image_backend_and_instance_type_fit_together() {
    let with = |from: &str, to: &str| {
        let text = std::fs::read_to_string(folder().join("dev.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        Environment::parse("dev", Path::new("dev.toml"), &text.replacen(from, to, 1))
    };
    let (kind, xla) = ("instance-type = \"trn1.2xlarge\"", "backend = \"xla\"");
    for wrong in [
        with(kind, "instance-type = \"trn2.3xlarge\""),
        with(kind, "instance-type = \"g6.xlarge\""),
        with(xla, "backend = \"torch-neuron\""),
    ] {
        let problem = wrong.unwrap_err().to_string();
        assert!(
            problem.contains("goes with an instance-type of trn"),
            "{problem}"
        );
    }
    for unknown in ["cuda", "cpu", "auto"] {
        let refused = with(xla, &format!("backend = \"{unknown}\"")).unwrap_err();
        assert!(refused.to_string().contains(unknown), "{refused}");
    }
    let file = std::fs::read_to_string(folder().join("dev.toml")).unwrap();
    let later = file
        .replacen(kind, "instance-type = \"trn2.3xlarge\"", 1)
        .replacen(xla, "backend = \"torch-neuron\"", 1);
    let later = Environment::parse("dev", Path::new("dev.toml"), &later).unwrap();
    assert_eq!(later.backend(), Backend::TorchNeuron);
    let local = Environment::load(&folder(), "local").unwrap();
    assert_eq!(local.backend(), Backend::Auto);
}

#[test]
fn the_image_of_the_environments_own_region_wins() {
    let with = |ids: &str| {
        let text = std::fs::read_to_string(folder().join("dev.toml")).unwrap();
        let text = text.replace("[trainium]", &format!("[trainium]\nimage-ids = {ids}"));
        Environment::parse("dev", Path::new("dev.toml"), &text)
    };
    let image_of = |ids: &str| {
        let environment = with(ids).unwrap();
        let settings = environment.trainium.unwrap();
        match settings.image(&environment.region) {
            InstanceImage::Pinned(id) => id.to_owned(),
            InstanceImage::Parameter(name) => name.to_owned(),
        }
    };
    assert_eq!(image_of("{ us-east-1 = \"ami-01234567\" }"), "ami-01234567");
    assert!(image_of("{ us-west-2 = \"ami-01234567\" }").starts_with("/aws/service/"));
    for bad in ["ami-", "i-01234567", "ami-012345678", "ami-0123456Z"] {
        let refused = with(&format!("{{ us-west-2 = \"{bad}\" }}")).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("trainium.image-ids.us-west-2"),
            "{refused}"
        );
    }
}
