//! Files that ask for far more than they give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annapurna_pdf::{Limits, PdfError, read};

use crate::make::{
    HELLO, HELVETICA, deflate, deflate_repeated, file, one_page, packed, page, stream,
};

/// Mebibytes that a reader may have in memory at most.
const MOST: u64 = 300;
/// What a file may take, and what is added for starting a reader on a busy machine.
const TIME: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(10);

const MILLION: usize = 1_000_000;

/// A file and its name.
type Bomb = (&'static str, fn() -> Vec<u8>);

const BOMBS: [Bomb; 24] = [
    ("operators", || content(&"q Q ".repeat(5 * MILLION))),
    ("states within each other", || {
        content(&"q ".repeat(20 * MILLION))
    }),
    ("arrays within each other", || {
        content(&"[".repeat(30 * MILLION))
    }),
    ("dictionaries within each other", || {
        content(&"/A BDC <<".repeat(3 * MILLION))
    }),
    ("strings within each other", || {
        content(&"(".repeat(30 * MILLION))
    }),
    ("operands without an operator", || {
        content(&"0 ".repeat(20 * MILLION))
    }),
    ("one array of many shifts", || {
        content(&format!(
            "BT /F1 9 Tf [{}] TJ ET",
            "0 ".repeat(10 * MILLION)
        ))
    }),
    ("much text", || {
        content(&format!(
            "BT /F1 9 Tf {} ET",
            "(aaaaaaaaaaaaaaaa) Tj ".repeat(2 * MILLION)
        ))
    }),
    ("text that is one line each", || {
        content(&format!(
            "BT /F1 9 Tf {} ET",
            "(a) Tj 0 -90 Td ".repeat(2 * MILLION)
        ))
    }),
    ("a packed gibibyte", || {
        packed_content("/FlateDecode", deflate_repeated(&[b' '; 1 << 20], 1 << 10))
    }),
    ("packed twice", || {
        packed_content(
            "[/FlateDecode /FlateDecode]",
            deflate(&deflate_repeated(&[0; 1 << 20], 4 << 10)),
        )
    }),
    ("run lengths of a gibibyte", run_lengths),
    ("a predictor with endless rows", predictor),
    ("the same content many times", same_content),
    ("an object stream of many objects", object_stream),
    ("a character map without bounds", || {
        character_map("1 beginbfrange <00000000> <FFFFFFFF> <0041> endbfrange")
    }),
    ("a character map of many entries", || {
        character_map(&format!(
            "1 beginbfchar {} endbfchar",
            "<0041> <0042> ".repeat(4 * MILLION)
        ))
    }),
    ("a font program of a gibibyte", font_program),
    ("widths without bounds", widths),
    ("forms that multiply", forms_that_multiply),
    ("forms of each other", forms_of_each_other),
    ("a deep tree of pages", deep_tree),
    ("a wide tree of pages", wide_tree),
    ("pages of each other", || {
        file(&[
            b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
            b"<< /Type /Pages /Kids [2 0 R 2 0 R 2 0 R] /Count 3 >>".to_vec(),
        ])
    }),
];

fn content(operators: &str) -> Vec<u8> {
    one_page(
        "",
        "",
        packed("", operators.as_bytes()),
        HELVETICA.into(),
        Vec::new(),
    )
}

fn packed_content(filter: &str, content: Vec<u8>) -> Vec<u8> {
    let content = stream(&format!("/Filter {filter}"), &content);
    one_page("", "", content, HELVETICA.into(), Vec::new())
}

fn run_lengths() -> Vec<u8> {
    let runs = deflate(&[129, b' '].repeat(8 * MILLION));
    packed_content("[/FlateDecode /RunLengthDecode]", runs)
}

fn predictor() -> Vec<u8> {
    let entries = "/Filter /FlateDecode /DecodeParms << /Predictor 15 /Columns 2000000000 /Colors 32 \
                   /BitsPerComponent 16 >>";
    let content = stream(entries, &deflate(&[2; 1 << 20]));
    one_page("", "", content, HELVETICA.into(), Vec::new())
}

fn same_content() -> Vec<u8> {
    let contents = format!("/Contents [{}]", "4 0 R ".repeat(100_000));
    let content = packed("", " ".repeat(MILLION).as_bytes());
    one_page(&contents, "", content, HELVETICA.into(), Vec::new())
}

fn object_stream() -> Vec<u8> {
    let n = MILLION;
    let mut inner: String = (0..n)
        .map(|number| format!("{} {} ", number + 10, number * 2))
        .collect();
    let first = inner.len();
    inner.push_str(&"0 ".repeat(n));
    let entries = format!("/Type /ObjStm /N {n} /First {first}");
    let more = vec![packed(&entries, inner.as_bytes())];
    one_page(
        "/Annots 11 0 R",
        "",
        stream("", HELLO.as_bytes()),
        HELVETICA.into(),
        more,
    )
}

fn composite(more: &str) -> Vec<u8> {
    format!(
        "<< /Type /Font /Subtype /Type0 /BaseFont /Arial /Encoding /Identity-H /ToUnicode 7 0 R \
         /DescendantFonts [<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Arial {more} >>] >>"
    )
    .into_bytes()
}

fn character_map(ranges: &str) -> Vec<u8> {
    let map = format!(
        "/CIDInit /ProcSet findresource begin begincmap\n1 begincodespacerange <0000> <FFFF> \
         endcodespacerange\n{ranges}\nendcmap"
    );
    let hello = b"BT /F1 12 Tf 72 700 Td <00410042> Tj ET";
    let more = vec![b"null".to_vec(), packed("", map.as_bytes())];
    one_page("", "", stream("", hello), composite(""), more)
}

fn font_program() -> Vec<u8> {
    let program = deflate_repeated(&[b'%'; 1 << 20], 1 << 10);
    let font = "<< /Type /Font /Subtype /Type1 /BaseFont /Odd /FontDescriptor << /Type /FontDescriptor \
                /FontName /Odd /Flags 4 /FontFile 6 0 R >> >>";
    let more = vec![stream("/Filter /FlateDecode /Length1 1000000000", &program)];
    one_page("", "", stream("", HELLO.as_bytes()), font.into(), more)
}

fn widths() -> Vec<u8> {
    let font = composite("/W [0 4294967295 500 0 2000000000 700]");
    let hello = b"BT /F1 12 Tf 72 700 Td <00410042> Tj ET";
    one_page(
        "",
        "",
        stream("", hello),
        font,
        vec![b"null".to_vec(), b"null".to_vec()],
    )
}

fn forms_that_multiply() -> Vec<u8> {
    let form = |inner: usize| {
        let entries = format!(
            "/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /N {inner} 0 R >> \
             /Font << /F1 5 0 R >> >>"
        );
        stream(
            &entries,
            format!("{HELLO} {}", "/N Do ".repeat(1_000)).as_bytes(),
        )
    };
    let forms = (7..=16).map(form).collect();
    let content = stream("", format!("{HELLO} /N Do").as_bytes());
    one_page(
        "",
        "/XObject << /N 6 0 R >>",
        content,
        HELVETICA.into(),
        forms,
    )
}

fn forms_of_each_other() -> Vec<u8> {
    let form = |inner: usize| {
        let entries = format!(
            "/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /N {inner} 0 R >> >>"
        );
        stream(&entries, b"/N Do /N Do")
    };
    let content = stream("", format!("{HELLO} /N Do").as_bytes());
    one_page(
        "",
        "/XObject << /N 6 0 R >>",
        content,
        HELVETICA.into(),
        vec![form(7), form(6)],
    )
}

fn deep_tree() -> Vec<u8> {
    let mut objects = vec![b"<< /Type /Catalog /Pages 2 0 R >>".to_vec()];
    for number in 2..100_000 {
        let node = format!("<< /Type /Pages /Kids [{} 0 R] /Count 1 >>", number + 1);
        objects.push(node.into_bytes());
    }
    objects.push(b"<< /Type /Page /MediaBox [0 0 612 792] >>".to_vec());
    file(&objects)
}

fn wide_tree() -> Vec<u8> {
    let kids = "3 0 R ".repeat(2 * MILLION);
    file(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{kids}] /Count 2000000 >>").into_bytes(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>".to_vec(),
    ])
}

/// The most that any reader of this process has had in memory, looked at again and again until it is dropped.
/// The kernel's own account of ended children would count what their parent had when it started them.
struct Watch {
    most: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Watch {
    fn begin() -> Self {
        let watch = Self {
            most: Arc::default(),
            ends: Arc::default(),
        };
        let (most, ends) = (Arc::clone(&watch.most), Arc::clone(&watch.ends));
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                most.fetch_max(readers().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        watch
    }

    /// Mebibytes since the last call.
    fn take(&self) -> u64 {
        self.most.swap(0, Ordering::Relaxed) >> 10
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// The most kibibytes that a reader which runs now has had in memory.
fn readers() -> Option<u64> {
    let own = std::process::id();
    let mut most = None;
    for task in std::fs::read_dir(format!("/proc/{own}/task"))
        .ok()?
        .flatten()
    {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            most = most.max(had_in_memory(child));
        }
    }
    most
}

/// `None` for a child that has not become a reader yet: it still has its parent's memory.
fn had_in_memory(child: &str) -> Option<u64> {
    let environment = std::fs::read(format!("/proc/{child}/environ")).ok()?;
    environment
        .starts_with(b"ANNAPURNA_READ_PDF=")
        .then_some(())?;
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::test]
async fn no_file_takes_more_memory_or_time_than_it_may() {
    let limits = Limits {
        time: TIME,
        ..Limits::default()
    };
    let watch = Watch::begin();
    let mut wrong = Vec::new();
    for (name, make) in BOMBS {
        let bytes = make();
        let n_bytes = bytes.len();
        let started = Instant::now();
        let outcome = read(bytes, limits).await;
        let (time, peak) = (started.elapsed(), watch.take());
        let said = match &outcome {
            Ok(paper) => format!("{} characters", paper.text().chars().count()),
            Err(error) => error.to_string(),
        };
        eprintln!("{name}: {n_bytes} bytes, {time:.1?}, {peak} MiB: {said}");
        if time > TIME + GRACE || peak > MOST {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn a_reader_that_is_ended_costs_its_caller_and_the_next_file_nothing() {
    let bomb = packed_content("/FlateDecode", deflate_repeated(&[b'('; 1 << 20], 1 << 10));
    let hello = page(HELLO);
    let (bomb, hello) = tokio::join!(
        read(bomb, Limits::default()),
        read(hello, Limits::default())
    );
    assert!(bomb.is_err() || bomb.is_ok_and(|paper| paper.text().is_empty()));
    assert_eq!(hello.unwrap().text(), "Hello, paper");
}

#[tokio::test]
async fn a_file_larger_than_any_that_is_stored_is_refused_unread() {
    let bytes = vec![0; usize::try_from(annapurna_pdf::PDF_LIMIT).unwrap() + 1];
    let error = read(bytes, Limits::default()).await.unwrap_err();
    assert!(matches!(error, PdfError::Unreadable { .. }), "{error}");
}

/// The largest file that the scrapers store: pictures, which are not read, and a page of text.
#[tokio::test]
async fn a_file_as_large_as_any_that_is_stored_is_read() {
    let noise: Vec<u8> = (0..96 << 10).map(|_| fastrand::u8(..)).collect();
    let picture = noise.repeat(1_000);
    let entries = "/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8";
    let more = vec![stream(entries, &picture)];
    let content = stream("", format!("/I Do {HELLO}").as_bytes());
    let bytes = one_page(
        "",
        "/XObject << /I 6 0 R >>",
        content,
        HELVETICA.into(),
        more,
    );
    assert!(bytes.len() > 93 << 20 && bytes.len() as u64 <= annapurna_pdf::PDF_LIMIT);
    let watch = Watch::begin();
    let paper = read(bytes, Limits::default()).await.unwrap();
    assert_eq!(paper.text(), "Hello, paper");
    let peak = watch.take();
    assert!((94..=MOST).contains(&peak), "{peak} MiB");
}

#[tokio::test]
async fn text_beside_a_million_marks_of_a_plot_is_read() {
    let marks = "0.5 0.25 m 3.25 4.125 l 5 6 7 8 9 10 c h f\n".repeat(MILLION);
    let content = packed("", format!("{marks} {HELLO}").as_bytes());
    let bytes = one_page("", "", content, HELVETICA.into(), Vec::new());
    let watch = Watch::begin();
    assert_eq!(
        read(bytes, Limits::default()).await.unwrap().text(),
        "Hello, paper"
    );
    let peak = watch.take();
    assert!(peak <= MOST, "{peak} MiB");
}
