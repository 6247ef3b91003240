//! What AWS asks for what an environment has, whether papers come or not.
//!
//! US dollars in us-east-1 as of [`AS_OF`], from copies of AWS's price lists: no price page was within reach. Another
//! region's are some tenths higher.

use annapurna_stack::environment::{Environment, SearchSettings};

use super::Line;

/// The day on which the prices were looked up.
pub(super) const AS_OF: &str = "2026-11-30";
/// Hours of a month, as AWS counts them.
const MONTH_HOURS: f64 = 730.0;
/// A node of the search domain, an hour. Source: two copies of the price list `AmazonES` in public repositories; the
/// small node's also the OpenSearch Service pricing page.
const NODES: [(&str, f64); 4] = [
    ("t3.small.search", 0.036),
    ("t3.medium.search", 0.073),
    ("r7g.medium.search", 0.089),
    ("r7g.large.search", 0.178),
];
/// A GB of a node's gp3 volume, a month. Source: OpenSearch Service pricing page, "EBS volume pricing".
const NODE_GB: f64 = 0.122;
/// A GB of an instance's gp3 volume, a month. Source: EBS pricing page.
const VOLUME_GB: f64 = 0.08;
/// An alarm's metric, a month, of those beyond the first ten. Source: docs/costs.md.
const ALARM_METRIC: f64 = 0.10;
const FREE_METRICS: f64 = 10.0;
/// Metrics of alarms without those of the instances, and of one instance.
const ALARM_METRICS: f64 = 30.0;
const ALARM_METRICS_OF_AN_INSTANCE: f64 = 3.0;

/// What an environment costs in a month without any paper.
pub(super) fn fixed(environment: &Environment) -> Vec<Line> {
    if environment.local().is_some() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if let SearchSettings::Domain {
        instance_type,
        instance_count,
        volume_gib,
    } = &environment.search
    {
        let count = f64::from(*instance_count);
        let price = NODES.iter().find(|(name, _)| name == instance_type);
        lines.push(Line {
            stage: "index",
            what: format!("{instance_count} × {instance_type}"),
            usd: price.map(|(_, hour)| hour * MONTH_HOURS * count),
        });
        lines.push(Line {
            stage: "index",
            what: format!("{instance_count} × {volume_gib} GiB of gp3"),
            usd: Some(f64::from(*volume_gib) * NODE_GB * count),
        });
    }
    let instances = environment.trainium.as_ref();
    if let Some(trainium) = instances.filter(|it| it.instances > 0) {
        lines.push(Line {
            stage: "instances",
            what: format!(
                "{} × {} GiB of gp3, stopped or not",
                trainium.instances, trainium.volume_gib
            ),
            usd: Some(f64::from(trainium.volume_gib) * VOLUME_GB * f64::from(trainium.instances)),
        });
    }
    if environment.has_alarms() {
        let n_instances = instances.map_or(0, |it| it.instances);
        let metrics = ALARM_METRICS + ALARM_METRICS_OF_AN_INSTANCE * f64::from(n_instances);
        lines.push(Line {
            stage: "alarms",
            what: format!("{metrics:.0} metrics, ten of them free"),
            usd: Some((metrics - FREE_METRICS) * ALARM_METRIC),
        });
    }
    lines
}
