//! PDFs, written by hand.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// A file of these objects, numbered from 1; the first is the catalog.
pub(crate) fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in (1..).zip(objects) {
        places.push(bytes.len());
        bytes.extend(format!("{number} 0 obj\n").bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let table = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for place in places {
        bytes.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let size = objects.len() + 1;
    bytes.extend(
        format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n").bytes(),
    );
    bytes
}

/// A stream with further entries of its dictionary.
pub(crate) fn stream(entries: &str, content: &[u8]) -> Vec<u8> {
    let mut object = format!("<< /Length {} {entries} >>\nstream\n", content.len()).into_bytes();
    object.extend(content);
    object.extend(b"\nendstream");
    object
}

/// A stream packed with Flate.
pub(crate) fn packed(entries: &str, content: &[u8]) -> Vec<u8> {
    stream(
        &format!("/Filter /FlateDecode {entries}"),
        &deflate(content),
    )
}

pub(crate) fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// `n` times the same, packed without ever being whole in the memory.
pub(crate) fn deflate_repeated(part: &[u8], n: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..n {
        encoder.write_all(part).unwrap();
    }
    encoder.finish().unwrap()
}

pub(crate) const HELVETICA: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";
pub(crate) const HELLO: &str = "BT /F1 12 Tf 72 700 Td (Hello, paper) Tj ET";

/// Catalog, pages, one page with object 4 as its content, unless `page` names another, and object 5 as its font
/// `F1`, and what follows. In `page` go further entries of the page, in `resources` of its resources.
pub(crate) fn one_page(
    page: &str,
    resources: &str,
    content: Vec<u8>,
    font: Vec<u8>,
    more: Vec<Vec<u8>>,
) -> Vec<u8> {
    let contents = if page.contains("/Contents") {
        ""
    } else {
        "/Contents 4 0 R"
    };
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {contents} {page} \
         /Resources << /Font << /F1 5 0 R >> {resources} >> >>"
    );
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        page.into_bytes(),
        content,
        font,
    ];
    objects.extend(more);
    file(&objects)
}

/// A page with these operators and Helvetica.
pub(crate) fn page(content: &str) -> Vec<u8> {
    one_page(
        "",
        "",
        stream("", content.as_bytes()),
        HELVETICA.into(),
        Vec::new(),
    )
}
