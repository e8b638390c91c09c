//! The official Rust SDK's way from a log group to a signed request: what `Client::put_logs` does before it sends.

use aliyun_log_sdk_protobuf::{Log, LogGroup};
use aliyun_log_sdk_sign::{QueryParams, sign_v1};
use http::{HeaderMap, HeaderValue, Method};
use sls_bench::{KEY_ID, LOGSTORE, OwnedLog, SECRET, SOURCE, TOPIC};

/// A log group in the SDK's own types, built once: taking the fields in is not measured.
pub(crate) struct Group {
    group: LogGroup,
    path: String,
}

impl Group {
    pub(crate) fn new(logs: &[OwnedLog]) -> Self {
        let mut group = LogGroup::new();
        group.set_topic(TOPIC).set_source(SOURCE);
        for log in logs {
            let mut own = Log::from_unixtime(log.time.seconds);
            // As our core: left out when there are none.
            if log.time.nanos != 0 {
                own.set_time_ns(log.time.nanos);
            }
            for (key, value) in &log.fields {
                own.add_content_kv(key, value);
            }
            group.add_log(own);
        }
        let path = format!("/logstores/{LOGSTORE}/shards/lb");
        Self { group, path }
    }

    /// Before compression.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.group.encode().unwrap_or_default()
    }

    /// Serialises, compresses and signs.
    pub(crate) fn send(&self) -> (Vec<u8>, HeaderMap) {
        let raw = self.raw();
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            HeaderValue::from_static("application/x-protobuf"),
        );
        headers.insert("x-log-bodyrawsize", HeaderValue::from(raw.len()));
        headers.insert("x-log-compresstype", HeaderValue::from_static("lz4"));
        headers.insert("user-agent", HeaderValue::from_static("bench"));
        let wire = lz4::block::compress(&raw, None, false).expect("lz4 takes any bytes");
        let query = QueryParams::empty();
        sign_v1(
            KEY_ID,
            SECRET,
            None,
            Method::POST,
            &self.path,
            &mut headers,
            query,
            Some(&wire),
        )
        .expect("good headers");
        (wire, headers)
    }
}
