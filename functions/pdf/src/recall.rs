//! How much of what poppler's pdftotext finds is found, and how fast: `cargo test -p annapurna-pdf recall --
//! --nocapture`, with `ANNAPURNA_DATA` and `--ignored` also on the recorded papers. Prints a line a file.

use std::{collections::HashMap, path::Path, process::Command, time::Instant};

use unicode_normalization::UnicodeNormalization;

use crate::{Limits, document, wire::Frame, wire::Page};

/// Files whose text is not theirs: damaged, encrypted, scanned.
const ODD: [&str; 4] = ["damaged", "encrypted", "corrupted", "image_only"];

/// Pages of a file, read in this process.
pub(crate) fn pages(bytes: Vec<u8>) -> Vec<Page> {
    let limits = Limits {
        pages: 1_000,
        ..Limits::default()
    };
    let mut pages = Vec::new();
    let mut keep = |frame: &Frame| {
        if let Frame::Page(page) = frame {
            pages.push(page.clone());
        }
        Ok(())
    };
    document::read(bytes, limits, Instant::now() + limits.time, &mut keep).unwrap();
    pages
}

/// Words and how often they are there: runs of letters and digits, without case, ligatures and the marks of
/// scripts; a word that a line's end breaks is one.
fn words(text: &str) -> HashMap<String, usize> {
    let plain: String = text.nfkc().filter(|c| !"_^{}".contains(*c)).collect();
    let plain = plain.replace("-\n", "").to_lowercase();
    let mut words = HashMap::new();
    for word in plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        *words.entry(word.to_owned()).or_default() += 1;
    }
    words
}

/// What pdftotext says of a file; `None` where it is not installed.
fn reference(file: &Path) -> Option<String> {
    let output = Command::new("pdftotext")
        .args(["-q", "-enc", "UTF-8"])
        .arg(file)
        .arg("-")
        .output();
    let output =
        annapurna_test_needs::needs(output.ok(), "pdftotext", "install poppler-utils (Debian)")?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Words that were found, of all.
#[derive(Clone, Copy, Default)]
struct Measured {
    found: usize,
    all: usize,
}

impl Measured {
    fn of(theirs: &HashMap<String, usize>, ours: &HashMap<String, usize>, letters: usize) -> Self {
        let theirs = theirs
            .iter()
            .filter(|(word, _)| word.chars().count() >= letters);
        theirs.fold(Self::default(), |sum, (word, n)| Self {
            found: sum.found + ours.get(word).map_or(0, |ours| *ours.min(n)),
            all: sum.all + n,
        })
    }

    fn recall(self) -> f64 {
        self.found as f64 / f64::max(self.all as f64, 1.0)
    }
}

fn measure(file: &Path) -> Option<Measured> {
    let started = Instant::now();
    let said = reference(file)?;
    let their_time = started.elapsed();
    let started = Instant::now();
    let pages = pages(std::fs::read(file).unwrap());
    let our_time = started.elapsed();
    let lines = pages
        .iter()
        .flat_map(|page| &page.lines)
        .map(|line| line.text.as_str());
    let ours = words(&lines.collect::<Vec<_>>().join("\n"));
    let theirs = words(&said);
    let measured = Measured::of(&theirs, &ours, 1);
    // Signs of equations stand beside each other otherwise, so words alone say more of the prose.
    let prose = Measured::of(&theirs, &ours, 3);
    eprintln!(
        "{:.4} ({:.4} of words of three letters or more) {}: {} of {} words, {} pages, {:.1} ms a page \
         (pdftotext {:.1})",
        measured.recall(),
        prose.recall(),
        file.file_name().unwrap().to_string_lossy(),
        measured.found,
        measured.all,
        pages.len(),
        our_time.as_secs_f64() * 1e3 / pages.len().max(1) as f64,
        their_time.as_secs_f64() * 1e3 / pages.len().max(1) as f64,
    );
    Some(measured)
}

fn recall(folder: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.ends_with(".pdf") && !ODD.iter().any(|odd| name.contains(odd))
    });
    files.sort();
    assert!(!files.is_empty());
    let Some(measured) = files
        .iter()
        .map(|file| measure(file))
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let all = measured
        .iter()
        .fold(Measured::default(), |sum, file| Measured {
            found: sum.found + file.found,
            all: sum.all + file.all,
        });
    eprintln!("{:.4} of {}", all.recall(), folder.display());
    assert!(all.recall() >= 0.97, "{} of {} words", all.found, all.all);
}

#[test]
fn recall_of_the_projects_files() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-data/data");
    recall(&data.join("pdf"));
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn recall_of_recorded_papers() {
    recall(&annapurna_test_data::outside_folder().join("pdf"));
}
