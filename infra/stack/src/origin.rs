//! From what CloudFormation refuses back to the setting it comes from.

use crate::cloudformation::facts;

/// Properties whose value is a setting's and nothing else's: the type, the property's last name, the setting.
const PROPERTIES: &[(&str, &str, &str)] = &[
    (
        "AWS::OpenSearchService::Domain",
        "InstanceType",
        "search.instance-type",
    ),
    (
        "AWS::OpenSearchService::Domain",
        "InstanceCount",
        "search.instance-count",
    ),
    (
        "AWS::OpenSearchService::Domain",
        "VolumeSize",
        "search.volume-gib",
    ),
    (
        "AWS::Logs::LogGroup",
        "RetentionInDays",
        "log-retention-days",
    ),
    (
        "AWS::EC2::LaunchTemplate",
        "InstanceType",
        "trainium.instance-type",
    ),
    (
        "AWS::EC2::LaunchTemplate",
        "VolumeSize",
        "trainium.volume-gib",
    ),
    ("AWS::EC2::Instance", "SubnetId", "trainium.subnet-id"),
    ("AWS::SNS::Subscription", "Endpoint", "alarms.subscribers"),
];

/// The setting that decides what was refused of a resource of this type: its name, because another has it, or
/// the property at the end of `path`, such as `/Resources/Papers/Properties/BucketName`. `None` where no
/// single setting does.
pub fn setting_behind(
    type_name: &str,
    is_name_conflict: bool,
    path: Option<&str>,
) -> Option<&'static str> {
    let property = path.and_then(|path| path.rsplit('/').next());
    let name = facts::of(type_name).ok()?.name_property.as_deref();
    if name.is_some() && (is_name_conflict || property == name) {
        return Some(match type_name {
            "AWS::S3::Bucket" => "bucket-suffix",
            _ => "name-prefix",
        });
    }
    let mut known = PROPERTIES.iter();
    known
        .find(|(of, named, _)| *of == type_name && Some(*named) == property)
        .map(|(_, _, setting)| *setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_leads_to_the_part_of_it_that_is_a_setting() {
        let taken = |type_name| setting_behind(type_name, true, None);
        assert_eq!(taken("AWS::S3::Bucket"), Some("bucket-suffix"));
        assert_eq!(taken("AWS::Lambda::Function"), Some("name-prefix"));
        assert_eq!(taken("AWS::Lambda::Permission"), None, "it has no name");
        assert_eq!(taken("AWS::DynamoDB::Table"), None, "it is none of ours");
        let path = "/Resources/Papers/Properties/BucketName";
        let refused = setting_behind("AWS::S3::Bucket", false, Some(path));
        assert_eq!(refused, Some("bucket-suffix"));
    }

    #[test]
    fn a_refused_property_leads_to_its_setting() {
        let domain = "AWS::OpenSearchService::Domain";
        let path = "/Resources/Search/Properties/EBSOptions/VolumeSize";
        let volume = setting_behind(domain, false, Some(path));
        assert_eq!(volume, Some("search.volume-gib"));
        assert_eq!(setting_behind(domain, false, None), None);
        let other = "/Resources/Search/Properties/EngineVersion";
        assert_eq!(setting_behind(domain, false, Some(other)), None);
    }

    #[test]
    fn every_property_with_a_setting_is_one_of_its_type_and_every_setting_is_in_the_settings() {
        let settings = include_str!("../../../docs/settings.md");
        for (type_name, property, setting) in PROPERTIES {
            let facts = facts::of(type_name).unwrap();
            let shapes = [&facts.shape].into_iter().chain(facts.definitions.values());
            let mut names = shapes.flat_map(|shape| shape.properties.keys());
            assert!(names.any(|it| it == property), "{type_name} {property}");
            let key = setting.rsplit('.').next().unwrap();
            assert!(settings.contains(&format!("`{key}`")), "{setting}");
        }
    }
}
