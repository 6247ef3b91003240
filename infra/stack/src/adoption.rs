//! Taking up what is there already: buckets that outlived their stack.
//!
//! CloudFormation imports a resource whose name is taken only when the template retains it, and does not
//! look at its properties. So a stack that finds something there is made in two steps: a template that
//! retains everything and asks nothing of a bucket but its name, then the template that is wanted, which
//! gives the buckets their settings and everything its own policy. Between the two the stack is whole; a
//! deployment that is run again goes on with the second.
//! Source: CloudFormation User Guide, "Import AWS resources into a CloudFormation stack automatically".

use serde_json::{Value, json};

use crate::cloudformation::{Holds, facts};

/// The first step's template. Each resource's mark makes its second step a change, since CloudFormation
/// does not count a new policy alone as one.
pub fn adopting(template: &Value) -> Value {
    let mut template = template.clone();
    let resources = template["Resources"].as_object_mut();
    for resource in resources.into_iter().flat_map(|it| it.values_mut()) {
        if resource["DeletionPolicy"] != "Retain" {
            resource["DeletionPolicy"] = json!("RetainExceptOnCreate");
        }
        resource["Metadata"] = json!({"taken-up": "another update gives the settings"});
        if let Some(property) = name_of_what_holds_objects(resource) {
            let name = resource["Properties"][property].clone();
            resource["Properties"] = json!({ property: name });
        }
    }
    template
}

/// The property with the name of a resource that holds objects.
fn name_of_what_holds_objects(resource: &Value) -> Option<&'static str> {
    let type_name = resource["Type"].as_str()?;
    let facts = facts::of(type_name).ok()?;
    let property = facts.name_property.as_deref();
    property.filter(|_| Holds::of(type_name) == Holds::Objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_retains_everything_and_asks_only_a_buckets_name() {
        let template = json!({"Resources": {
            "Papers": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Delete",
                "Properties": {"BucketName": "papers", "VersioningConfiguration": {"Status": "Enabled"}}},
            "Kept": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain",
                "Properties": {"BucketName": "kept"}},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true}},
        }});
        let first = adopting(&template);
        let policy = |id: &str| first["Resources"][id]["DeletionPolicy"].clone();
        assert_eq!(policy("Papers"), "RetainExceptOnCreate");
        assert_eq!(policy("Kept"), "Retain");
        assert_eq!(policy("Queue"), "RetainExceptOnCreate");
        let properties = |id: &str| first["Resources"][id]["Properties"].clone();
        assert_eq!(properties("Papers"), json!({"BucketName": "papers"}));
        assert_eq!(properties("Queue"), json!({"FifoQueue": true}));
    }
}
