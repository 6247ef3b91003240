//! The image of the instance: whether it is there, which Neuron SDK it brings, and whether the volume holds it.

use annapurna_contract::Backend;
use annapurna_local::doctor::State;
use annapurna_stack::environment::{InstanceImage, TrainiumSettings};
use aws_sdk_ec2::types::Image;

use super::{Subject, without};
use crate::error::CommandError;
use crate::images::{
    FIRST_TORCH_NEURON, LAST_XLA_TRAINING, Trains, image_of, sdk, size_gib, trains, words,
};

/// What AWS asks of the root volume of a Trn instance with a Neuron image, GiB.
/// Source: Neuron documentation, "Update PyTorch on a Deep Learning AMI".
const LEAST_VOLUME: u32 = 512;

pub(super) async fn look(
    subject: &Subject<'_>,
    settings: &TrainiumSettings,
) -> Result<State, CommandError> {
    let region = &subject.environment.region;
    let named = settings.image(region);
    let Some((id, found)) = image_of(subject.cloud, named).await? else {
        return Ok(without(
            format!("no parameter `{}` in {region}", settings.image_parameter),
            "aws ssm get-parameters-by-path --path /aws/service/neuron/dlami --recursive",
        ));
    };
    Ok(match (found, named) {
        (Some(image), _) => judged(subject, settings, &id, &image),
        (None, InstanceImage::Pinned(_)) => without(
            format!("image {id} is not there"),
            format!(
                "another of `infra ami {}` in {}",
                subject.environment.name,
                subject.file()
            ),
        ),
        (None, InstanceImage::Parameter(parameter)) => without(
            format!("`{parameter}` names image {id}, which is not there"),
            format!("another image-parameter in {}", subject.file()),
        ),
    })
}

fn judged(subject: &Subject<'_>, settings: &TrainiumSettings, id: &str, image: &Image) -> State {
    let name = image.name().unwrap_or_default();
    let words = words(image);
    let file = subject.file();
    let other = format!(
        "one of `cargo infra ami {}`; docs/aws.md, \"The image\"",
        subject.environment.name
    );
    if !words.to_lowercase().contains("neuron") {
        return without(
            format!("image {id} ({name}) is no Neuron image: the agent will take no batch"),
            other,
        );
    }
    let size = size_gib(image);
    let needs = size.unwrap_or(0).max(LEAST_VOLUME);
    if needs > settings.volume_gib {
        let who = match size {
            Some(size) if size > settings.volume_gib => format!("image {id} needs {size} GiB"),
            _ => format!("AWS asks for {LEAST_VOLUME} GiB at least"),
        };
        return without(
            format!("{who}, volume-gib is {}", settings.volume_gib),
            format!("volume-gib = {needs} in {file}"),
        );
    }
    match sdk(&words) {
        Some(minor) => of_sdk(settings.backend(), minor, id, size, other),
        None => without(
            format!("image {id} ({name}) does not say which Neuron SDK it has"),
            match settings.backend() {
                Backend::TorchNeuron => {
                    format!("make sure that it is 2.{FIRST_TORCH_NEURON} or newer")
                }
                _ => format!("make sure that it is 2.{LAST_XLA_TRAINING} or older"),
            },
        ),
    }
}

fn of_sdk(backend: Backend, minor: u32, id: &str, size: Option<u32>, other: String) -> State {
    let library = match backend {
        Backend::TorchNeuron => "PyTorch's device `neuron`",
        _ => "PyTorch/XLA",
    };
    match trains(backend, minor) {
        Trains::Yes => {
            let size = size.map_or_else(String::new, |gib| format!(", {gib} GiB"));
            State::Ok(format!("{id}, Neuron SDK 2.{minor}{size}"))
        }
        Trains::Unsupported => without(
            format!(
                "image {id} has Neuron SDK 2.{minor}; AWS supports training by {library} up to 2.{LAST_XLA_TRAINING}"
            ),
            other,
        ),
        Trains::No => without(
            format!(
                "image {id} has Neuron SDK 2.{minor}, without {library}: the agent will take no batch"
            ),
            other,
        ),
    }
}
