//! The data sets that programs may load: what there is, and how it comes there.
//!
//! A set is made into a folder of this machine, then uploaded; its description goes last, so that whoever reads the bucket
//! finds whole sets. Both steps go on where they were cut off.

mod list;
mod source;
mod upload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annapurna_contract::Bucket;
use annapurna_contract::dataset::{DatasetDescription, check_name};
use annapurna_datasets::{Checking, DatasetError, Made, RECIPES, Recipe, own, recipe};
use annapurna_stack::outputs::Output;

use super::{Context, EnvironmentArg, Target};
use crate::error::CommandError;
use source::Source;
use upload::upload;

/// Show, import and upload the data sets that programs load
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra datasets local list
  cargo infra datasets prod import                            All six, from their publishers
  cargo infra datasets local import mnist --from ~/mnist      From files that are here
  cargo infra datasets prod import --from s3://old-bucket     From the bucket of an earlier Annapurna
  cargo infra datasets dev upload mnist                       What was imported once, to another environment
  cargo infra datasets prod add sensors ./sensors --description 'vibration of ten machines'")]
pub(super) struct DatasetsArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// What is in the bucket, what could be imported, and what papers want and nobody has
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make sets from their publishers' files and upload them
    Import {
        /// cifar10, cifar100, mnist, fashion_mnist, imdb, wikitext2 [default: all of them]
        names: Vec<String>,
        /// A folder, an http(s) address below which the files are, or s3://BUCKET/PREFIX [default: the publishers]
        #[arg(long)]
        from: Option<String>,
        /// Take files whose digest is not the one that the publisher's have
        #[arg(long)]
        any_version: bool,
        /// Make them, and leave them on this machine
        #[arg(long)]
        no_upload: bool,
    },
    /// Upload sets that were made here
    Upload {
        /// Their names [default: all that were made here]
        names: Vec<String>,
    },
    /// Upload a set of your own
    Add {
        /// What programs load it by
        name: String,
        /// Folder with train and test as .safetensors (tensors x and y) or .csv (the last column is the target)
        folder: PathBuf,
        /// What it is, in a sentence that the model is told
        #[arg(long)]
        description: String,
        /// On what terms it may be used
        #[arg(long, default_value = "not given")]
        licence: String,
    },
}

pub(super) async fn run(cx: &Context, args: DatasetsArgs) -> Result<ExitCode, CommandError> {
    // What is wrong with the request is said before anything is asked of a service.
    let recipes = args.action.checked()?;
    let target = cx.target(&args.environment).await?;
    let made = cx.state.join(".datasets");
    match args.action {
        Action::List { json } => list::list(cx, &target, json).await?,
        Action::Import {
            from,
            any_version,
            no_upload,
            ..
        } => {
            let source = Source::parse(from.as_deref())?;
            let checking = match any_version {
                true => Checking::Any,
                false => Checking::Published,
            };
            for recipe in recipes {
                let description = import(cx, &target, recipe, &source, checking).await?;
                if !no_upload {
                    upload(cx, &target, &description.name, &made).await?;
                }
            }
        }
        Action::Upload { names } => {
            for name in made_here(&names, &made)? {
                upload(cx, &target, &name, &made).await?;
            }
        }
        Action::Add {
            name,
            folder,
            description,
            licence,
        } => {
            let (place, making) = (made.join(&name), name.clone());
            let add = move || write(own(&making, &folder, &description, &licence)?, &place);
            in_thread(add).await?;
            upload(cx, &target, &name, &made).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Action {
    /// The recipes of what is imported; an error for names that cannot be.
    fn checked(&self) -> Result<Vec<&'static Recipe>, CommandError> {
        match self {
            Self::Import { names, .. } => recipes(names),
            Self::Add { name, .. } => {
                check_name(name).map_err(|problem| own_name(&problem))?;
                if name.starts_with("synthetic") || recipe(name).is_ok() {
                    return Err(own_name(&format!("`{name}` is the name of another set")));
                }
                Ok(Vec::new())
            }
            Self::List { .. } | Self::Upload { .. } => Ok(Vec::new()),
        }
    }
}

/// The recipes of these names, or all.
fn recipes(names: &[String]) -> Result<Vec<&'static Recipe>, CommandError> {
    if names.is_empty() {
        return Ok(RECIPES.iter().collect());
    }
    let found = names.iter().map(|name| {
        recipe(name).map_err(|error| {
            let known: Vec<&str> = RECIPES.iter().map(|it| it.name).collect();
            let hint = match name.starts_with("synthetic") {
                true => "programs make it themselves: it is always there".to_owned(),
                false => format!(
                    "known are {}; a set of your own: datasets ENV add",
                    known.join(", ")
                ),
            };
            CommandError::Usage {
                problem: error.to_string(),
                hint,
            }
        })
    });
    found.collect()
}

fn own_name(problem: &str) -> CommandError {
    CommandError::Usage {
        problem: problem.to_owned(),
        hint: "choose a name of your own, such as `my_sensors`".to_owned(),
    }
}

/// Fetches what is not here and makes the set of it.
async fn import(
    cx: &Context,
    target: &Target,
    recipe: &'static Recipe,
    source: &Source,
    checking: Checking,
) -> Result<DatasetDescription, CommandError> {
    let downloads = cx.state.join(".downloads").join(recipe.name);
    let folder = source.fetch(cx, target, recipe, &downloads).await?;
    let step = cx.ui.begin(format!("Making {}", recipe.name));
    let place = cx.state.join(".datasets").join(recipe.name);
    let made = in_thread(move || write(recipe.make(&folder, checking)?, &place)).await;
    drop(step);
    if let Err(CommandError::Dataset(DatasetError::Digest { path, .. })) = &made
        && path.starts_with(&downloads)
    {
        // So that it is fetched anew the next time.
        std::fs::remove_file(path).map_err(CommandError::file("remove", path))?;
    }
    let description = made?;
    cx.ui.done(format!(
        "{}: {} samples to train on, {} to test on",
        description.name, description.train, description.test
    ));
    Ok(description)
}

/// Writes a set into a folder in which no other version of it is left.
fn write(made: Made, place: &Path) -> Result<DatasetDescription, DatasetError> {
    match std::fs::remove_dir_all(place) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(DatasetError::File {
            path: place.to_owned(),
            source,
        }),
        _ => made.write(place),
    }
}

/// Making takes a processor for seconds; Ctrl-C is heard meanwhile.
async fn in_thread(
    work: impl FnOnce() -> Result<DatasetDescription, DatasetError> + Send + 'static,
) -> Result<DatasetDescription, CommandError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(std::io::Error::other);
    Ok(done.map_err(CommandError::file("make", "the data set"))??)
}

/// The names of sets that were made here; an error where one was not, or none.
fn made_here(names: &[String], made: &Path) -> Result<Vec<String>, CommandError> {
    let is_made = |name: &str| made.join(name).join("dataset.json").is_file();
    let entries = std::fs::read_dir(made).into_iter().flatten().flatten();
    let mut there: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_made(name))
        .collect();
    there.sort();
    let lacking = names.iter().find(|name| !there.contains(name));
    if lacking.is_none() && !there.is_empty() {
        return Ok(if names.is_empty() {
            there
        } else {
            names.to_vec()
        });
    }
    let name = lacking.map_or("", String::as_str);
    let shown = there.join(", ");
    Err(CommandError::Usage {
        problem: match lacking {
            Some(name) => format!("no data set `{name}` was made on this machine, only: {shown}"),
            None => "no data set was made on this machine".to_owned(),
        },
        hint: format!("make it: cargo infra datasets ENV import {name}")
            .trim_end()
            .to_owned(),
    })
}

impl Target {
    /// Name of a bucket of the environment.
    fn bucket(&self, bucket: Bucket) -> Result<String, CommandError> {
        let name = self.deployed.outputs.get(Output::BucketName(bucket))?;
        Ok(name.to_owned())
    }
}
