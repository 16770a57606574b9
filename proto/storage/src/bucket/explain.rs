//! What a service's refusal means, and what to do about it, in one line.
//!
//! The client's own errors carry whole responses, with signatures and parts of requests in them. Nothing of a response is
//! repeated but its code.

use std::error::Error as _;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::address::Service;

/// Where the services of clouds give keys to their own machines.
const METADATA: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// The service and the bucket that an error is about.
#[derive(Debug, Clone)]
pub(super) struct Where {
    pub(super) service: Service,
    pub(super) bucket: String,
    pub(super) endpoint: Option<String>,
}

/// A line for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Advice(String);

/// What an error shows of its cause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Symptom {
    status: Option<u16>,
    /// The service's own word for it, such as `NoSuchBucket`.
    code: Option<String>,
    transport: Option<(HttpErrorKind, String)>,
    is_about_metadata: bool,
    is_redirect: bool,
}

impl Symptom {
    fn of(error: &Error) -> Self {
        let mut found = Self::default();
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            found.is_about_metadata |= METADATA.iter().any(|host| text.contains(host));
            found.is_redirect |= text.contains("redirect without LOCATION");
            found.status = found.status.or_else(|| status_in(&text));
            found.code = found.code.take().or_else(|| code_in(&text));
            if let Some(http) = error.downcast_ref::<HttpError>() {
                let deepest = std::iter::successors(http.source(), |error| (*error).source()).last();
                found.transport = Some((http.kind(), deepest.map(ToString::to_string).unwrap_or_default()));
            }
            cause = error.source();
        }
        found.is_redirect |= matches!(found.status, Some(301 | 302 | 307 | 308));
        found
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }
}

/// An HTTP status in the text of a client's error.
fn status_in(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// The `Code` of an XML response.
fn code_in(text: &str) -> Option<String> {
    let (_, after) = text.split_once("<Code>")?;
    let (code, _) = after.split_once("</Code>")?;
    let is_code = !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

impl Where {
    /// The error in one line that says what to do. Its kind stays what it was where a caller decides by it.
    pub(super) fn explain(&self, error: Error) -> Error {
        let symptom = Symptom::of(&error);
        let advice = || Box::new(Advice(self.advice(&symptom)));
        match error {
            // Without its bucket, nothing is known of an object.
            Error::NotFound { path, .. }
                if symptom.code() != "NoSuchBucket" && symptom.code() != "ContainerNotFound" =>
            {
                Error::NotFound { path, source: Box::new(Advice("it is not in the bucket".to_owned())) }
            }
            Error::Precondition { path, .. } => Error::Precondition { path, source: advice() },
            Error::AlreadyExists { path, .. } => Error::AlreadyExists { path, source: advice() },
            error @ (Error::InvalidPath { .. }
            | Error::JoinError { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. }) => error,
            _ => Error::Generic { store: self.store(), source: advice() },
        }
    }

    fn store(&self) -> &'static str {
        match self.service {
            Service::S3 => "S3",
            Service::Google => "Google Cloud Storage",
            Service::Azure => "Azure Blob Storage",
        }
    }

    /// The endpoint, for people.
    fn endpoint(&self) -> String {
        self.endpoint
            .clone()
            .unwrap_or_else(|| format!("the service's own endpoint (no {} is set)", self.endpoint_variable()))
    }

    fn endpoint_variable(&self) -> &'static str {
        match self.service {
            Service::S3 => "AWS_ENDPOINT_URL",
            Service::Google => "GOOGLE_BASE_URL",
            Service::Azure => "AZURE_STORAGE_ENDPOINT",
        }
    }

    fn key_variables(&self) -> &'static str {
        match self.service {
            Service::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Service::Google => "GOOGLE_SERVICE_ACCOUNT (a file) or GOOGLE_SERVICE_ACCOUNT_KEY",
            Service::Azure => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        }
    }

    fn advice(&self, symptom: &Symptom) -> String {
        let Self { bucket, .. } = self;
        let (keys, endpoint) = (self.key_variables(), self.endpoint());
        if symptom.is_about_metadata {
            return format!("no key is given, and no metadata service gives one to this machine: set {keys}");
        }
        match symptom.code() {
            "SignatureDoesNotMatch" | "AuthenticationFailed" => {
                return format!("the secret key is wrong ({}): check {keys}", symptom.code());
            }
            "InvalidAccessKeyId" | "NotSignedUp" => {
                return format!("{endpoint} does not know the access key: check {keys}");
            }
            "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" => {
                return "the session's keys have expired or are wrong: get new ones and set them, AWS_SESSION_TOKEN too".to_owned();
            }
            "RequestTimeTooSkewed" | "RequestExpired" => {
                return "the clock of this machine differs from the service's: set it (`timedatectl set-ntp true`)"
                    .to_owned();
            }
            "NoSuchBucket" | "ContainerNotFound" => {
                return format!(
                    "{endpoint} has no bucket `{bucket}`: make it, or correct the address or {}",
                    self.endpoint_variable()
                );
            }
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "TemporaryRedirect"
            | "IllegalLocationConstraintException" => {
                return self.other_region();
            }
            "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" => {
                return format!("what arrived is not what was sent ({})", symptom.code());
            }
            "NoSuchUpload" => {
                return "the service no longer knows the upload in parts: a rule of the bucket may end uploads too early".to_owned();
            }
            _ => {}
        }
        match (symptom.status, &symptom.transport) {
            _ if symptom.is_redirect => self.other_region(),
            (Some(403), _) => {
                let code = symptom.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
                format!("no permission{code}: the key needs to list `{bucket}`, and to read, write and delete in it")
            }
            (Some(401), _) => format!("the key is not accepted: check {keys}"),
            (Some(status @ (429 | 503)), _) => format!("{endpoint} asks to wait ({status}{})", self.with_code(symptom)),
            (Some(status @ 500..), _) => format!("{endpoint} failed ({status}{})", self.with_code(symptom)),
            (Some(status), _) => format!("{endpoint} refused it ({status}{})", self.with_code(symptom)),
            (None, Some((HttpErrorKind::Connect, why))) => {
                format!("cannot connect to {endpoint}: {why}; check {} and the network", self.endpoint_variable())
            }
            (None, Some((HttpErrorKind::Timeout, why))) => format!("{endpoint} does not answer: {why}"),
            (None, Some((_, why))) => format!("the connection to {endpoint} broke: {why}"),
            (None, None) if symptom.code.is_some() => format!("{endpoint} refused it ({})", symptom.code()),
            (None, None) => format!("{endpoint} gave an answer that is not understood"),
        }
    }

    fn with_code(&self, symptom: &Symptom) -> String {
        symptom.code.as_ref().map(|code| format!(", {code}")).unwrap_or_default()
    }

    fn other_region(&self) -> String {
        match self.service {
            Service::S3 => format!(
                "`{}` is in another region: set AWS_REGION to the bucket's, or correct AWS_ENDPOINT_URL",
                self.bucket
            ),
            _ => format!("`{}` is elsewhere: correct {}", self.bucket, self.endpoint_variable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Where {
        let endpoint = Some("http://127.0.0.1:9000".to_owned());
        Where { service: Service::S3, bucket: "runs".to_owned(), endpoint }
    }

    /// As the client words it.
    fn refusal(status: &str, body: &str) -> Error {
        let text = format!(
            "Error performing GET http://127.0.0.1:9000/runs/x in 3ms - Server returned non-2xx status code: {status}: {body}"
        );
        Error::Generic { store: "S3", source: text.into() }
    }

    fn explained(error: Error) -> String {
        place().explain(error).to_string()
    }

    #[test]
    fn each_refusal_says_what_to_do_and_repeats_nothing_of_the_response() {
        let code = |code: &str| format!("<Error><Code>{code}</Code><StringToSign>hush</StringToSign></Error>");
        for (status, name, advice) in [
            ("403 Forbidden", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            ("403 Forbidden", "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            ("403 Forbidden", "AccessDenied", "the key needs to list `runs`"),
            ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
            ("404 Not Found", "NoSuchBucket", "has no bucket `runs`: make it"),
            ("400 Bad Request", "AuthorizationHeaderMalformed", "AWS_REGION"),
            ("301 Moved Permanently", "PermanentRedirect", "AWS_REGION"),
            ("503 Service Unavailable", "SlowDown", "asks to wait (503, SlowDown)"),
            ("500 Internal Server Error", "InternalError", "failed (500, InternalError)"),
            ("400 Bad Request", "InvalidRequest", "refused it (400, InvalidRequest)"),
        ] {
            let text = explained(refusal(status, &code(name)));
            assert!(text.contains(advice), "{name}: {text}");
            assert!(!text.contains("hush") && !text.contains('\n') && !text.contains('<'), "{text}");
        }
        assert!(explained(refusal("403 Forbidden", "")).contains("no permission: the key"));
        let text = "Error performing PUT http://169.254.169.254/latest/api/token in 1s";
        let error = Error::Generic { store: "S3", source: text.into() };
        assert!(explained(error).contains("no key is given"));
    }

    #[test]
    fn a_bucket_that_is_gone_is_not_an_object_that_is_gone() {
        let not_found = |body: &str| {
            let source = format!("Server returned non-2xx status code: 404 Not Found: {body}").into();
            Error::NotFound { path: "a".to_owned(), source }
        };
        let bucket = place().explain(not_found("<Code>NoSuchBucket</Code>"));
        assert!(matches!(bucket, Error::Generic { .. }), "{bucket}");
        let object = place().explain(not_found("<Code>NoSuchKey</Code>"));
        assert!(matches!(&object, Error::NotFound { path, .. } if path == "a"), "{object}");
    }

    #[test]
    fn a_code_is_a_word() {
        assert_eq!(code_in("<Code>NoSuchKey</Code>"), Some("NoSuchKey".to_owned()));
        for other in ["<Code></Code>", "<Code>a\nb</Code>", "<Code>half", "none"] {
            assert_eq!(code_in(other), None, "{other}");
        }
    }
}
