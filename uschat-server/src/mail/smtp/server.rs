//! What an SMTP URL says.

use std::{fs, net::IpAddr};

use lettre::{
    Address,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, TlsParameters},
    },
};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::SmtpError;

/// A mail server, and who we are to it.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) credentials: Option<Credentials>,
    /// Whether the password may travel unencrypted.
    pub(super) cleartext_password: bool,
    pub(super) from: Address,
    pub(super) name: String,
}

/// How a connection is encrypted.
pub(super) enum Encryption {
    Never,
    /// STARTTLS if the server offers it.
    Offered(TlsParameters),
    /// STARTTLS, or no connection.
    Required(TlsParameters),
    /// TLS from the first byte.
    Implicit(TlsParameters),
}

impl Server {
    pub(super) fn parse(text: &str) -> Result<Self, SmtpError> {
        // Its own error is not passed on: some of them repeat what they did not understand.
        let url = Url::parse(text).map_err(|_| bad("it is not a URL"))?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(bad("it begins with neither smtp:// nor smtps://")),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(bad("it has a path; write reserved characters in user and password as %XX"));
        }
        let (host, loopback) = host(&url)?;
        let query = Query::parse(url.query().unwrap_or_default())?;
        let credentials = credentials(&url)?;
        let port = url.port().unwrap_or(match (implicit, &credentials) {
            (true, _) => 465,
            (false, Some(_)) => 587,
            (false, None) => 25,
        });
        let tls = |ca: Option<&str>| tls(&host, ca);
        let encryption = match (implicit, query.tls.as_deref()) {
            (true, None | Some("required")) => Encryption::Implicit(tls(query.ca.as_deref())?),
            (false, None | Some("offered")) => Encryption::Offered(tls(query.ca.as_deref())?),
            (false, Some("required" | "starttls")) => Encryption::Required(tls(query.ca.as_deref())?),
            (false, Some("none")) if query.ca.is_none() => Encryption::Never,
            (false, Some("none")) => return Err(bad("ca= is of no use with tls=none")),
            (true, Some(_)) => return Err(bad("smtps:// knows only tls=required")),
            (false, Some(_)) => return Err(bad("tls= is none of offered, starttls, required and none")),
        };
        let cleartext_password = loopback || matches!(encryption, Encryption::Never);
        let from = query.from.ok_or_else(|| bad("from= is missing"))?;
        let from = from.parse().map_err(|_| bad("from= is not an e-mail address"))?;
        let name = query.name.unwrap_or_else(|| "UsChat".to_owned());
        if name.contains(char::is_control) {
            return Err(bad("name= has control characters"));
        }
        Ok(Self { host, port, encryption, credentials, cleartext_password, from, name })
    }
}

/// The host as it is looked up and found in certificates, and whether it is this machine.
fn host(url: &Url) -> Result<(String, bool), SmtpError> {
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => return Err(bad("the host is missing")),
    };
    let loopback = host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    Ok((host, loopback))
}

fn credentials(url: &Url) -> Result<Option<Credentials>, SmtpError> {
    let user = decode(url.username())?;
    match url.password().map(decode).transpose()? {
        Some(password) if !user.is_empty() && !password.is_empty() => Ok(Some(Credentials::new(user, password))),
        None if user.is_empty() => Ok(None),
        _ => Err(bad("a user and a password belong together")),
    }
}

/// Trusts the authorities in the file, or without one those of the system.
fn tls(host: &str, ca: Option<&str>) -> Result<TlsParameters, SmtpError> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca {
        let unusable = |error: &dyn std::fmt::Display| SmtpError::BadCertificates(error.to_string());
        let pem = fs::read(file).map_err(|error| unusable(&error))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(unusable(&"it holds no certificate"));
        }
        let certificates = Certificate::from_pem(&pem).map_err(|error| unusable(&error))?;
        tls = tls.certificate_store(CertificateStore::None).add_root_certificate(certificates);
    }
    tls.build().map_err(|error| SmtpError::Tls(error.to_string()))
}

#[derive(Default)]
struct Query {
    from: Option<String>,
    name: Option<String>,
    tls: Option<String>,
    ca: Option<String>,
}

impl Query {
    /// Not as forms are encoded: a plus is a plus, because addresses have some.
    fn parse(text: &str) -> Result<Self, SmtpError> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match key {
                "from" => &mut query.from,
                "name" => &mut query.name,
                "tls" => &mut query.tls,
                "ca" => &mut query.ca,
                _ => {
                    return Err(bad(
                        "it has a key that is none of from, name, tls and ca; a & in a value is written %26",
                    ));
                }
            };
            if place.replace(decode(value)?).is_some() {
                return Err(bad("it says the same key twice"));
            }
        }
        Ok(query)
    }
}

fn decode(text: &str) -> Result<String, SmtpError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| bad("it is not UTF-8"))?;
    Ok(decoded.into_owned())
}

fn bad(what: &str) -> SmtpError {
    SmtpError::BadUrl(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Server {
        Server::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn ports_and_encryption_follow_from_the_scheme() {
        let kind = |server: &Server| match server.encryption {
            Encryption::Never => "never",
            Encryption::Offered(_) => "offered",
            Encryption::Required(_) => "required",
            Encryption::Implicit(_) => "implicit",
        };
        for (url, port, encryption, cleartext) in [
            ("smtps://u:p@mail.test?from=a@b.c", 465, "implicit", false),
            ("smtp://u:p@mail.test?from=a@b.c", 587, "offered", false),
            ("smtp://mail.test?from=a@b.c", 25, "offered", false),
            ("smtp://mail.test:2525/?from=a@b.c&tls=starttls", 2525, "required", false),
            ("smtp://mail.test?from=a@b.c&tls=required", 25, "required", false),
            ("smtp://u:p@mail.test?from=a@b.c&tls=none", 587, "never", true),
            ("smtp://u:p@127.0.0.1?from=a@b.c", 587, "offered", true),
            ("smtp://u:p@[::1]?from=a@b.c", 587, "offered", true),
            ("smtp://u:p@LocalHost?from=a@b.c", 587, "offered", true),
            ("smtp://u:p@localhost.example.org?from=a@b.c", 587, "offered", false),
        ] {
            let server = parse(url);
            assert_eq!((server.port, kind(&server), server.cleartext_password), (port, encryption, cleartext), "{url}");
        }
    }

    #[test]
    fn values_are_percent_decoded_and_a_plus_stays() {
        let server = parse("smtp://us%40er:p%3A%2F%25w@mail.test?from=us+codes@example.org&name=%E4%BE%8B%20%26%20Co");
        assert_eq!(server.from.to_string(), "us+codes@example.org");
        assert_eq!(server.name, "\u{4f8b} & Co");
        assert_eq!(server.credentials, Some(Credentials::new("us@er".into(), "p:/%w".into())));
        assert_eq!(parse("smtp://mail.test?from=a@b.c").name, "UsChat");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for url in [
            "",
            "mail.test:25",
            "http://user:sesame@mail.test?from=a@b.c",
            "smtp:///?from=a@b.c",
            "smtp://user:sesame@mail.test",
            "smtp://user:sesame@mail.test?from=nobody",
            "smtp://user:sesame@mail.test:99999?from=a@b.c",
            "smtp://user:ses/ame@mail.test?from=a@b.c",
            "smtp://user@mail.test?from=a@b.c",
            "smtp://:sesame@mail.test?from=a@b.c",
            "smtp://user:sesame@mail.test/inbox?from=a@b.c",
            "smtp://user:sesame@mail.test?from=a@b.c&from=d@e.f",
            "smtp://user:sesame@mail.test?from=a@b.c&tsl=none",
            "smtp://user:sesame@mail.test?from=a@b.c&tls=maybe",
            "smtp://user:sesame@mail.test?from=a@b.c&name=a%0D%0AB",
            "smtp://user:sesame@mail.test?from=a@b.c&name=%FF",
            "smtp://user:sesame@mail.test?from=a@b.c&tls=none&ca=x",
            "smtps://user:sesame@mail.test?from=a@b.c&tls=none",
        ] {
            let error = Server::parse(url).err().unwrap_or_else(|| panic!("{url} was understood"));
            assert!(matches!(error, SmtpError::BadUrl(_)), "{url}: {error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("sesame") && !shown.contains("mail.test"), "{shown}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        for file in [empty.path().to_str().unwrap(), "/nonexistent.pem"] {
            let error = Server::parse(&format!("smtps://mail.test?from=a@b.c&ca={file}")).err();
            assert!(matches!(error, Some(SmtpError::BadCertificates(_))), "{file}");
        }
    }
}
