//! `tls` of listeners and upstreams.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Flag, Many, Pem, Table as Of, Text, Time};
use super::DAY;

const MIN_VERSION: Key = Key {
    name: "min-version",
    kind: Choice(&["1.2", "1.3"]),
    default: Value("\"1.2\""),
    text: "The oldest version of TLS that is spoken; the newest is 1.3.",
};

pub(super) const LISTENER_TLS: &[Key] = &[
    Key {
        name: "certificates",
        kind: Many("certificate"),
        default: Required,
        text: "Certificates, chosen by the name that a client asks for: an exact name before a wildcard. Several may have the same \
               names with keys of different kinds. At most 10000.",
    },
    Key {
        name: "unknown-sni",
        kind: Choice(&["first", "refuse"]),
        default: Value("\"first\""),
        text: "A client that asks for a name that no certificate has, or for none, gets the first certificate, or its handshake \
               is refused.",
    },
    MIN_VERSION,
    Key {
        name: "client-auth",
        kind: Of("client-auth"),
        default: Words("clients are not asked for certificates"),
        text: "Certificates of clients.",
    },
    Key {
        name: "resumption",
        kind: Flag,
        default: Value("true"),
        text: "Whether a client that comes back may continue its session, on any worker and across reloads.",
    },
    Key {
        name: "handshake-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"10s\""),
        text: "From the connection to the end of the handshake; looked at once a second.",
    },
];

pub(super) const CERTIFICATE: &[Key] = &[
    Key {
        name: "cert",
        kind: Pem("site.pem"),
        default: Required,
        text: "The certificate in PEM, then those that signed it.",
    },
    Key {
        name: "key",
        kind: Pem("site.key"),
        default: Required,
        text: "Its private key in PEM, without a passphrase: RSA, ECDSA (P-256, P-384) or Ed25519.",
    },
];

pub(super) const CLIENT_AUTH: &[Key] = &[
    Key {
        name: "ca",
        kind: Pem("ca.pem"),
        default: Required,
        text: "The authorities whose certificates clients may have, in PEM.",
    },
    Key {
        name: "mode",
        kind: Choice(&["required", "optional"]),
        default: Value("\"required\""),
        text: "Whether a client without a certificate is let in. One with a certificate that is not right never is.",
    },
    Key {
        name: "crl",
        kind: Pem("revoked.pem"),
        default: Words("none"),
        text: "Certificates that the authorities have taken back: revocation lists in PEM.",
    },
];

pub(super) const UPSTREAM_TLS: &[Key] = &[
    Key {
        name: "ca",
        kind: Pem("ca.pem"),
        default: Words("the system's authorities"),
        text: "The authorities whose certificates servers may have, in PEM; then the system's do not count.",
    },
    Key {
        name: "sni",
        kind: Text("orders.internal"),
        default: Words("the endpoint's host"),
        text: "The name that the server is asked for and that its certificate must have.",
    },
    Key {
        name: "cert",
        kind: Pem("site.pem"),
        default: Words("none"),
        text: "The gateway's own certificate in PEM, then those that signed it.",
    },
    Key {
        name: "key",
        kind: Pem("site.key"),
        default: Words("none"),
        text: "Its private key in PEM.",
    },
    MIN_VERSION,
    Key {
        name: "dangerously-skip-verification",
        kind: Flag,
        default: Value("false"),
        text: "Believes any certificate: whoever is in between can read and change everything. `check` warns of it.",
    },
];
