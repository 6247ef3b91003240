//! Writes a paper's text as a small PDF: standard fonts, no compression, the same bytes every time.

use std::io::Write;

use super::sample::SamplePaper;

const TOP: usize = 780;
const BOTTOM: usize = 60;
const LEFT: usize = 60;
/// Characters of body text on a line of A4 with these margins.
const LINE_CHARACTERS: usize = 92;

#[derive(Clone, Copy)]
struct Style {
    font: &'static str,
    size: usize,
    /// Distance to the line before, points.
    leading: usize,
}

const TITLE: Style = Style {
    font: "F2",
    size: 15,
    leading: 20,
};
const HEADING: Style = Style {
    font: "F2",
    size: 12,
    leading: 26,
};
const BODY: Style = Style {
    font: "F1",
    size: 10,
    leading: 13,
};
const GAP: Style = Style {
    font: "F1",
    size: 10,
    leading: 22,
};

/// The whole file.
pub(super) fn build(paper: &SamplePaper) -> Vec<u8> {
    let pages = paginate(&lines(paper));
    let kids: Vec<String> = (0..pages.len())
        .map(|page| format!("{} 0 R", 5 + 2 * page))
        .collect();
    let font = |name: &str| {
        format!("<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>")
            .into_bytes()
    };
    let mut objects: Vec<Vec<u8>> = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!(
            "<< /Type /Pages /Kids [{}] /Count {} >>",
            kids.join(" "),
            pages.len()
        )
        .into_bytes(),
        font("Helvetica"),
        font("Helvetica-Bold"),
    ];
    for (place, content) in pages.into_iter().enumerate() {
        let page = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>",
            6 + 2 * place
        );
        objects.push(page.into_bytes());
        let mut stream = format!("<< /Length {} >>\nstream\n", content.len()).into_bytes();
        stream.extend_from_slice(&content);
        stream.extend_from_slice(b"\nendstream");
        objects.push(stream);
    }
    file_of(&objects)
}

/// Objects, the table of their places, and the trailer.
fn file_of(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        places.push(file.len());
        append(&mut file, &format!("{} 0 obj\n", number + 1));
        file.extend_from_slice(object);
        append(&mut file, "\nendobj\n");
    }
    let table = file.len();
    append(
        &mut file,
        &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1),
    );
    for place in places {
        append(&mut file, &format!("{place:010} 00000 n \n"));
    }
    let n_objects = objects.len() + 1;
    append(
        &mut file,
        &format!("trailer\n<< /Size {n_objects} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"),
    );
    file
}

fn append(file: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = file.write_all(text.as_bytes());
}

fn lines(paper: &SamplePaper) -> Vec<(Style, String)> {
    let mut lines: Vec<(Style, String)> = Vec::new();
    let title_characters = LINE_CHARACTERS * BODY.size / TITLE.size - 6;
    lines.extend(
        wrap(&paper.title, title_characters)
            .into_iter()
            .map(|line| (TITLE, line)),
    );
    lines.push((GAP, paper.authors.join(", ")));
    let mut section = |heading: &str, text: &str| {
        lines.push((HEADING, heading.to_owned()));
        lines.extend(
            wrap(text, LINE_CHARACTERS)
                .into_iter()
                .map(|line| (BODY, line)),
        );
    };
    section("Abstract", &paper.abstract_text);
    for (number, part) in paper.sections.iter().enumerate() {
        section(&format!("{} {}", number + 1, part.heading), &part.text);
    }
    lines
}

fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > most {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The content streams: one text object a line.
fn paginate(lines: &[(Style, String)]) -> Vec<Vec<u8>> {
    let mut pages = vec![Vec::new()];
    let mut height = TOP;
    for (style, line) in lines {
        if height < BOTTOM + style.leading {
            pages.push(Vec::new());
            height = TOP;
        }
        height -= style.leading;
        if let Some(page) = pages.last_mut() {
            let Style { font, size, .. } = style;
            append(page, &format!("BT /{font} {size} Tf {LEFT} {height} Td ("));
            page.extend(line.chars().flat_map(string_bytes));
            append(page, ") Tj ET\n");
        }
    }
    pages
}

/// A character of a PDF string in WinAnsi, which is Latin-1 for the letters we use.
fn string_bytes(character: char) -> Vec<u8> {
    match character {
        '(' | ')' | '\\' => vec![b'\\', character as u8],
        _ => vec![u8::try_from(u32::from(character)).unwrap_or(b'?')],
    }
}
