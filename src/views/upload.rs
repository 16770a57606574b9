//! Uploads to a coordinator's storage.

use client::Upload;

use crate::logging::say;

/// Prints what is being uploaded.
pub(crate) fn say_upload(upload: &Upload) {
    match upload {
        Upload::Copying(to) => say(&format!("copying the data to {}", to.display())),
        Upload::Sending(place) => say(&format!("sending the data to {place}")),
    }
}
