//! The way of a log through the core, cut into its stages: the same code natively and as wasm.
//!
//! | stage | what is done once |
//! | --- | --- |
//! | decode | Content-Encoding gzip undone |
//! | read | headers of the envelope and of its items |
//! | record | read, and records made of the items, not scrubbed |
//! | scrubbed | the same, scrubbed |
//! | encode | a log per record mended and laid out as protobuf |
//! | compress | a batch as one LZ4 block, and its digest |
//! | sign | a complete PutLogs request of it, signature v1 |
//! | send | encode, compress and sign, which is what the SDKs do |
//!
//! The first five go over all envelopes of the workload, the others over its one batch.

use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sentry::{decode, envelope};
use sentry_edge_mirror::sls::batch::{Batcher, Limits};
use sentry_edge_mirror::sls::compress::Compression;
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::log_group::MAX_RAW_BYTES;
use sentry_edge_mirror::sls::log_time::LogTime;
use sentry_edge_mirror::sls::put_logs::{self, Destination};
use sentry_edge_mirror::sls::record::{self, Context, Options, Record};
use sentry_edge_mirror::sls::scrub::Scrubber;
use sentry_edge_mirror::sls::signature::Signature;
use sentry_edge_mirror::sls::write::{Batch, Group, Packer, Packing};
use std::borrow::Cow;
use std::hint::black_box;
use std::rc::Rc;
use std::task::Poll;

#[cfg(target_family = "wasm")]
mod guest;

/// Everybody writes to the same place, with the same key.
pub const KEY_ID: &str = "LTAI5tExampleOfAnIdent";
/// Its secret.
pub const SECRET: &str = "ExampleOfASecretOf30Characters";
/// Log project.
pub const PROJECT: &str = "edge-logs";
/// Endpoint.
pub const ENDPOINT: &str = "cn-hangzhou.log.aliyuncs.com";
/// Logstore.
pub const LOGSTORE: &str = "sentry";
/// Topic.
pub const TOPIC: &str = "sentry";
/// Source.
pub const SOURCE: &str = "edge";

/// When the events of the workloads happened: no log's time is clamped.
pub const NOW_MS: u64 = 1_709_190_489_000;

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Decode,
    Read,
    Record,
    Scrubbed,
    Encode,
    Compress,
    Sign,
    Send,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Decode,
        Self::Read,
        Self::Record,
        Self::Scrubbed,
        Self::Encode,
        Self::Compress,
        Self::Sign,
        Self::Send,
    ];

    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Read => "read",
            Self::Record => "record",
            Self::Scrubbed => "scrubbed",
            Self::Encode => "encode",
            Self::Compress => "compress",
            Self::Sign => "sign",
            Self::Send => "send",
        }
    }
}

/// A log that owns its fields.
pub struct OwnedLog {
    /// When it was written.
    pub time: LogTime,
    /// Keys and values.
    pub fields: Vec<(String, String)>,
}

/// Envelopes, and what each stage makes of them for the next one.
pub struct Workload {
    encoded: Vec<Vec<u8>>,
    decoded: Vec<Vec<u8>>,
    logs: Vec<OwnedLog>,
    raw: Vec<u8>,
    batch: Option<Batch>,
    scrubber: Scrubber,
    destination: Rc<Destination>,
    credential: Credential,
}

impl Workload {
    /// `bytes`: gzip bodies, each behind its length (four bytes, little endian).
    pub fn new(bytes: &[u8]) -> Self {
        let mut encoded = Vec::new();
        let mut rest = bytes;
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            encoded.push(behind[..length].to_vec());
            rest = &behind[length..];
        }
        let decoded = encoded.iter().map(|body| gunzip(body).into_owned());
        let mut workload = Self {
            decoded: decoded.collect(),
            encoded,
            logs: Vec::new(),
            raw: Vec::new(),
            batch: None,
            scrubber: Scrubber::default(),
            destination: Rc::new(
                Destination::new(PROJECT, ENDPOINT, LOGSTORE, TOPIC, SOURCE, &[])
                    .expect("good names"),
            ),
            credential: Credential::new(KEY_ID, SECRET, None).expect("a good key"),
        };
        let mut logs = Vec::new();
        workload.records(true, &mut |record| {
            let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
            logs.push(OwnedLog {
                time: LogTime {
                    seconds: record.time_s,
                    nanos: record.time_ns,
                },
                fields: record.fields().map(owned).collect(),
            });
        });
        workload.logs = logs;
        workload.raw = workload.group().raw().to_vec();
        workload.batch = Some(workload.pack());
        workload
    }

    /// Envelopes.
    pub fn envelopes(&self) -> usize {
        self.encoded.len()
    }

    /// Their size after decoding.
    pub fn decoded_bytes(&self) -> usize {
        self.decoded.iter().map(Vec::len).sum()
    }

    /// Their logs.
    pub fn logs(&self) -> &[OwnedLog] {
        &self.logs
    }

    /// The batch before compression.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Runs one stage once; the result is a size that depends on all of the work.
    pub fn run(&self, stage: Stage) -> usize {
        match stage {
            Stage::Decode => self
                .encoded
                .iter()
                .map(|body| black_box(gunzip(body)).len())
                .sum(),
            Stage::Read => {
                let count = |bytes: &Vec<u8>| envelope::check(bytes).expect("a good envelope");
                self.decoded.iter().map(count).sum()
            }
            Stage::Record => self.count_records(false),
            Stage::Scrubbed => self.count_records(true),
            Stage::Encode => black_box(self.batcher()).bytes(),
            Stage::Compress => {
                // The batcher hands its bytes over; here they are needed again.
                let raw = self.raw.clone();
                let mut packer = Packer::new(raw, Compression::Lz4, &Signature::V1);
                let body = done(packer.step(&mut Meter::unlimited()));
                black_box(body).wire().len()
            }
            Stage::Sign => self.batch.as_ref().map_or(0, |batch| self.sign(batch)),
            Stage::Send => self.sign(&self.pack()),
        }
    }

    fn count_records(&self, scrub: bool) -> usize {
        let mut fields = 0;
        self.records(scrub, &mut |record| {
            fields += black_box(record).fields().count()
        });
        fields
    }

    fn records(&self, scrub: bool, sink: &mut dyn FnMut(&Record)) {
        let context = Context {
            project_id: "42",
            app_id: Some("abcdefghij@0123456789abcdef01234"),
            received_ms: NOW_MS,
            options: Options {
                scrub: scrub.then_some(&self.scrubber),
                ..Options::default()
            },
        };
        for bytes in &self.decoded {
            let summary = record::records(bytes, &context, sink);
            assert!(
                summary.malformed.is_none() && summary.bad == 0,
                "{summary:?}"
            );
        }
    }

    /// All logs in one open batch.
    fn batcher(&self) -> Batcher {
        let limits = Limits::new(MAX_RAW_BYTES, usize::MAX, 0);
        let mut batcher = Batcher::new(Rc::clone(&self.destination), limits);
        for log in &self.logs {
            let fields = log.fields.iter();
            let bytes = fields.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
            let pushed = batcher.push(log.time, bytes, NOW_MS);
            assert!(pushed.sealed.is_empty() && !pushed.time_moved);
        }
        batcher
    }

    fn group(&self) -> Group {
        self.batcher().seal().expect("a batch")
    }

    fn pack(&self) -> Batch {
        let mut packing = Packing::new(self.group(), Compression::Lz4, &Signature::V1);
        done(packing.step(&mut Meter::unlimited()))
    }

    fn sign(&self, batch: &Batch) -> usize {
        let signature = &Signature::V1;
        let request = put_logs::build(
            &self.destination,
            batch.body(),
            signature,
            &self.credential,
            NOW_MS,
        );
        let headers: usize = request.headers.iter().map(|(_, value)| value.len()).sum();
        black_box(&request).body.len() + headers
    }
}

fn done<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("an endless meter is never empty"),
    }
}

fn gunzip(body: &[u8]) -> Cow<'_, [u8]> {
    decode::decode_all(body, b"gzip", 1 << 25).expect("a good body")
}
