//! Columns of Parquet and Arrow files: the text, and the label where there is one.
//!
//! Hugging Face gives wikitext out as Parquet; the project before this one kept what its library saves, Arrow's stream
//! format, in its bucket.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, DataType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::DatasetError;

/// Bytes of all texts of a file.
const TEXT_LIMIT: usize = 1 << 30;

/// The rows of a file, of `.parquet` or `.arrow`: each text, with its label where the file has labels.
pub(crate) fn rows(path: &Path) -> Result<Vec<(String, Option<i64>)>, DatasetError> {
    let wrong = |problem: String| DatasetError::format(path, problem);
    let file = File::open(path).map_err(DatasetError::file(path))?;
    let batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>> =
        if path.extension().is_some_and(|it| it == "parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(|builder| builder.build())
                .map_err(|error| wrong(error.to_string()))?;
            Box::new(reader)
        } else {
            let reader = StreamReader::try_new(BufReader::new(file), None)
                .map_err(|error| wrong(error.to_string()))?;
            Box::new(reader)
        };
    let mut rows = Vec::new();
    let mut length = 0;
    for batch in batches {
        let batch = batch.map_err(|error| wrong(error.to_string()))?;
        let found = rows_of(&batch).map_err(wrong)?;
        length += found.iter().map(|(text, _)| text.len()).sum::<usize>();
        if length > TEXT_LIMIT {
            return Err(wrong(format!(
                "its texts have more than {TEXT_LIMIT} bytes"
            )));
        }
        rows.extend(found);
    }
    Ok(rows)
}

fn rows_of(batch: &RecordBatch) -> Result<Vec<(String, Option<i64>)>, String> {
    let text = batch
        .column_by_name("text")
        .ok_or("it has no column `text`")?;
    let owned = |text: Option<&str>| text.unwrap_or("").to_owned();
    let texts: Vec<String> = match text.data_type() {
        DataType::Utf8 => text.as_string::<i32>().iter().map(owned).collect(),
        DataType::LargeUtf8 => text.as_string::<i64>().iter().map(owned).collect(),
        DataType::Utf8View => text.as_string_view().iter().map(owned).collect(),
        other => return Err(format!("its column `text` is of type {other}")),
    };
    let labels = match batch.column_by_name("label") {
        None => vec![None; texts.len()],
        Some(label) => {
            let numbers = label.as_primitive_opt::<Int64Type>();
            let numbers = numbers.ok_or("its column `label` is not of 64-bit numbers")?;
            numbers.iter().collect()
        }
    };
    Ok(texts.into_iter().zip(labels).collect())
}
