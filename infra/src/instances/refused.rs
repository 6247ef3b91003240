//! Why instances that are needed do not start, as the tester found at its last look.

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::{Bucket, RefusedStart, keys};
use annapurna_stack::outputs::Output;

use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;
use crate::ui;

/// Largest list that is read, bytes.
const LIMIT: u64 = 1 << 20;

/// Every start that was refused at the tester's last look.
///
/// # Errors
///
/// When S3 does not answer, or with what is no such list.
pub(crate) async fn refused_starts(
    cloud: &Cloud,
    deployed: &Deployed,
) -> Result<Vec<RefusedStart>, CommandError> {
    let bucket = deployed.outputs.get(Output::BucketName(Bucket::Outputs))?;
    let objects = S3::new(&cloud.config);
    let found = objects.get(bucket, keys::REFUSED_STARTS, LIMIT).await?;
    let Some(bytes) = found else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&bytes).map_err(|error| CommandError::Aws {
        doing: format!("read s3://{bucket}/{}", keys::REFUSED_STARTS),
        reason: error.to_string(),
    })
}

/// As a person reads it.
pub(crate) fn in_words(refused: &RefusedStart) -> String {
    let RefusedStart {
        code, since, last, ..
    } = refused;
    let code = ui::one_line(code, 80);
    format!("does not start since {since}, last tried {last}: {code}")
}
