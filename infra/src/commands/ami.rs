use std::process::ExitCode;

use annapurna_contract::Backend;
use annapurna_stack::environment::{Environment, InstanceImage, TrainiumSettings};
use aws_sdk_ec2::types::{Filter, Image};
use serde::Serialize;

use super::{Context, EnvironmentArg};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::images::{Trains, image_of, sdk, size_gib, trains, words};
use crate::ui;

/// The names of AWS's Neuron images. Source: Neuron documentation, "Neuron DLAMI User Guide".
const NEURON_IMAGES: &str = "Deep Learning AMI Neuron*";

/// List the Neuron images that the account can see, and print the line that pins one
///
/// `*` is what instances are made from today, `+` the newest on which programs of the environment's backend train. The
/// last line goes into `[trainium]` of the environment's file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra ami prod
  cargo infra ami prod --json            For a script")]
pub(super) struct AmiArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One image, as far as its own words tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    id: String,
    name: String,
    description: String,
    /// RFC 3339, as EC2 says it.
    created: String,
    /// Neuron SDK, such as `2.29`; `None` where neither name nor description says it.
    sdk: Option<String>,
    /// Least size of the root volume, GiB.
    volume_gib: Option<u32>,
    /// Whether programs of the environment's backend train on it; `None` where the SDK is not known.
    trains: Option<bool>,
    /// Instances are made from it today.
    chosen: bool,
}

pub(super) async fn run(cx: &Context, args: AmiArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let name = &environment.name;
    let Some(settings) = &environment.trainium else {
        return Err(CommandError::Usage {
            problem: format!("`{name}` has no instances: there is no [trainium] in its file"),
            hint: "name an environment in AWS, such as prod".to_owned(),
        });
    };
    let cloud = Cloud::connect(&environment, None).await;
    cloud.guard(&environment).await?;
    let rows = rows(&cloud, &environment, settings).await?;
    let line =
        best(&rows).map(|row| format!("image-ids = {{ {} = \"{}\" }}", environment.region, row.id));
    if args.json {
        cx.ui
            .json(&serde_json::json!({"images": rows, "line": line}))?;
        return Ok(ExitCode::SUCCESS);
    }
    cx.ui.result(table(&rows))?;
    match line {
        Some(line) => cx.ui.result(line)?,
        None => cx.ui.warn(format!(
            "no image of {} says that programs of backend `{}` train on it; docs/aws.md, \"The image\"",
            environment.region,
            settings.backend()
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest that is known to fit. What an image only may have is nobody's line to copy.
fn best(rows: &[Row]) -> Option<&Row> {
    rows.iter().find(|row| row.trains == Some(true))
}

fn table(rows: &[Row]) -> String {
    let newest = best(rows).map(|row| row.id.as_str());
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mark = match (row.chosen, newest == Some(row.id.as_str())) {
                (true, true) => "*+",
                (true, false) => "*",
                (false, true) => "+",
                (false, false) => "",
            };
            let trains = match row.trains {
                Some(true) => "yes",
                Some(false) => "no",
                None => "?",
            };
            let size = row.volume_gib.map(|gib| format!("{gib} GiB"));
            let day = row.created.split('T').next().unwrap_or(&row.created);
            vec![
                mark.to_owned(),
                row.id.clone(),
                day.to_owned(),
                row.sdk.clone().unwrap_or_else(|| "?".to_owned()),
                trains.to_owned(),
                size.unwrap_or_else(|| "?".to_owned()),
                row.name.clone(),
            ]
        })
        .collect();
    ui::table(
        &["", "IMAGE", "MADE", "SDK", "TRAINS", "ROOT VOLUME", "NAME"],
        &lines,
    )
}

/// AWS's own and the one that is chosen, the newest first.
async fn rows(
    cloud: &Cloud,
    environment: &Environment,
    settings: &TrainiumSettings,
) -> Result<Vec<Row>, CommandError> {
    let named = settings.image(&environment.region);
    let chosen = image_of(cloud, named).await?;
    let by_name = Filter::builder().name("name").values(NEURON_IMAGES).build();
    let listed = cloud
        .ec2
        .describe_images()
        .owners("amazon")
        .filters(by_name);
    let listed = listed.into_paginator().items().send();
    let listed: Result<Vec<Image>, _> = listed.try_collect().await;
    let mut images = listed.map_err(CommandError::aws("list the Neuron images"))?;
    let chosen_id = chosen.as_ref().map(|(id, _)| id.clone());
    let is_listed = |id: &str| images.iter().any(|image| image.image_id() == Some(id));
    if let Some((id, Some(image))) = chosen
        && !is_listed(&id)
    {
        images.push(image);
    }
    images.sort_by(|one, other| other.creation_date().cmp(&one.creation_date()));
    let rows = images.iter().map(|image| {
        let mut row = row(image, settings.backend());
        row.chosen = chosen_id.as_deref() == Some(row.id.as_str());
        row
    });
    let rows: Vec<Row> = rows.collect();
    if let InstanceImage::Pinned(id) = named
        && !rows.iter().any(|row| row.chosen)
    {
        return Err(CommandError::Usage {
            problem: format!("image {id}, which the file pins, is not there"),
            hint: format!(
                "take `image-ids` out of environments/{}.toml and run this again",
                environment.name
            ),
        });
    }
    Ok(rows)
}

fn row(image: &Image, backend: Backend) -> Row {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let minor = sdk(&words(image));
    Row {
        id: text(image.image_id()),
        name: text(image.name()),
        description: text(image.description()),
        created: text(image.creation_date()),
        sdk: minor.map(|minor| format!("2.{minor}")),
        volume_gib: size_gib(image),
        trains: minor.map(|minor| trains(backend, minor) == Trains::Yes),
        chosen: false,
    }
}
