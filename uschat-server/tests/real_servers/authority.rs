//! A certificate authority of a test's own, with a certificate of 127.0.0.1.

#![allow(dead_code, unreachable_pub, reason = "every test program uses a part of it")]

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// Files in PEM format; removed with it.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // By default both would have one name, and a certificate from its own name looks self-signed.
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate of the authority");
        let server_key = key();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let server = params.signed_by(&server_key, &authority).expect("a certificate");
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("a file");
        write("ca.pem", authority.as_ref().pem());
        write("server.pem", server.pem());
        write("server.key", server_key.serialize_pem());
        Self(folder)
    }

    /// The certificate of the authority.
    pub fn ca(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// Arguments of `redis-server`: TLS on its second port, clients need no certificate.
    pub fn redis_arguments(&self) -> Vec<String> {
        let file = |name| self.0.path().join(name).display().to_string();
        let arguments = [
            ["--tls-port", "{tls-port}"],
            ["--tls-auth-clients", "no"],
            ["--tls-cert-file", &file("server.pem")],
            ["--tls-key-file", &file("server.key")],
            ["--tls-ca-cert-file", &file("ca.pem")],
        ];
        arguments.concat().into_iter().map(str::to_owned).collect()
    }

    /// A file that holds `text`.
    pub fn file(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("other.pem");
        std::fs::write(&path, text).expect("a file");
        path
    }
}
