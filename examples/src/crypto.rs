//! The cryptography behind every TLS connection of a program.

/// Makes ring rustls' provider for the process. To be called first of all; libraries never do.
pub fn install() {
    // A second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
