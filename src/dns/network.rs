//! The resolver of this host: hickory, driven by tokio in one hidden thread that nobody else knows
//! of. Who asks hands the question over and waits for the answer, so that a thread that dies costs
//! time and nothing else.

use super::{Data, Failure, Type};
use crate::limits;
use crate::sys::thread;
use std::io;
use std::sync::mpsc;
use tokio::runtime::{Builder, Handle};
use trust_dns_resolver::TokioResolver;
use trust_dns_resolver::config::ResolveHosts;
use trust_dns_resolver::net::{DnsError, NetError};
use trust_dns_resolver::proto::op::ResponseCode;
use trust_dns_resolver::proto::rr::{Name, RData, RecordType};

pub(super) struct Network {
    handle: Handle,
    resolver: TokioResolver,
}

impl Network {
    /// Reads resolv.conf(5), and starts the thread.
    pub fn start() -> io::Result<Network> {
        let failed = |error: NetError| io::Error::other(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
        let options = builder.options_mut();
        // RFC 5321 §5.1 knows the DNS and no other source of names.
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = {
            let _runtime = handle.enter();
            builder.build().map_err(failed)?
        };
        thread::spawn("dns", move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Network { handle, resolver })
    }

    pub fn ask(&self, name: &str, kind: Type) -> Result<Vec<Data>, Failure> {
        // With its final dot, or the domains of resolv.conf(5) would be tried behind it.
        let Ok(name) = Name::from_ascii(format!("{name}.")) else {
            return Err(Failure::NoSuchDomain);
        };
        let (answer, wait) = mpsc::channel();
        let resolver = self.resolver.clone();
        self.handle.spawn(async move {
            let _ = answer.send(resolver.lookup(name, record_type(kind)).await);
        });
        match wait.recv_timeout(limits::LOOKUP) {
            Ok(Ok(found)) => {
                Ok(found.answers().iter().filter_map(|record| data(&record.data, kind)).collect())
            }
            Ok(Err(error)) => failure(error),
            Err(_) => Err(Failure::Temporary("no answer in time".into())),
        }
    }
}

fn record_type(kind: Type) -> RecordType {
    match kind {
        Type::A => RecordType::A,
        Type::Aaaa => RecordType::AAAA,
        Type::Mx => RecordType::MX,
        Type::Ptr => RecordType::PTR,
        Type::Txt => RecordType::TXT,
        Type::Cname => RecordType::CNAME,
    }
}

fn data(data: &RData, kind: Type) -> Option<Data> {
    Some(match (data, kind) {
        (RData::A(address), Type::A) => Data::Address(address.0.into(), None),
        (RData::AAAA(address), Type::Aaaa) => Data::Address(address.0.into(), None),
        (RData::MX(mx), Type::Mx) => Data::Mx(mx.preference, plain(&mx.exchange)),
        (RData::PTR(name), Type::Ptr) => Data::Name(plain(&name.0)),
        (RData::CNAME(name), Type::Cname) => Data::Name(plain(&name.0)),
        (RData::TXT(text), Type::Txt) => Data::Text(text.txt_data.concat()),
        _ => return None,
    })
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// RFC 1035 §4.1.1 (RCODE); no records of that type is an answer.
fn failure(error: NetError) -> Result<Vec<Data>, Failure> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Err(Failure::NoSuchDomain),
            ResponseCode::NoError => Ok(Vec::new()),
            code => Err(Failure::Temporary(code.to_string())),
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => Err(Failure::NoSuchDomain),
        error => Err(Failure::Temporary(error.to_string())),
    }
}
