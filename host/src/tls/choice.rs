//! Which certificate a client is shown, by the name that it asks for (RFC 6066 section 3). It refuses to know what is
//! served under the name.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Identity;
use super::server::UnknownName;

/// The certificates of a listener.
///
/// The certificate with exactly the name comes before one with a wildcard, which stands for one label (RFC 9525
/// section 6.3); among several with the same name the first whose key the client can verify wins. For a name
/// that none has, and for clients that give none, it is the first certificate, or none.
pub(super) struct Choice {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By the part behind `*.`.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    otherwise: Vec<Arc<CertifiedKey>>,
}

impl Choice {
    /// A choice among these. All that have the names of the first may stand in for it.
    pub(super) fn new(identities: &[Identity], unknown: UnknownName) -> Self {
        let mut choice = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            otherwise: Vec::new(),
        };
        for identity in identities {
            for name in identity.names() {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(domain) => (&mut choice.wildcard, domain),
                    None => (&mut choice.exact, &**name),
                };
                map.entry_ref(name)
                    .or_insert_with(Vec::new)
                    .push(Arc::clone(&identity.key));
            }
        }
        if unknown == UnknownName::First
            && let Some(first) = identities.first()
        {
            let alike = identities.iter().filter(|other| other.names() == first.names());
            choice.otherwise = alike.map(|identity| Arc::clone(&identity.key)).collect();
        }
        choice
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = name.and_then(|name| self.named(name)).unwrap_or(&self.otherwise);
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        candidates
            .iter()
            .find(fits)
            .or_else(|| candidates.first())
            .map(Arc::clone)
    }

    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let lowered;
        let mut name = name.strip_suffix('.').unwrap_or(name);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lowered = name.to_ascii_lowercase();
            name = &lowered;
        }
        self.exact.get(name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.wildcard.get(domain)
        })
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("exact", &self.exact.keys())
            .field("wildcard", &self.wildcard.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::{identity, pem_for};
    use super::*;

    const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];

    #[test]
    fn exact_comes_before_wildcard_and_a_wildcard_is_one_label() {
        let list = [
            identity(&["first.example"]),
            identity(&["*.example.com"]),
            identity(&["www.example.com", "example.com"]),
        ];
        let choice = Choice::new(&list, UnknownName::First);
        let index = |name: Option<&str>| {
            let found = choice.find(name, ECDSA)?;
            list.iter()
                .position(|identity| Arc::ptr_eq(&identity.key, &found))
        };
        for (name, want) in [
            ("www.example.com", 2),
            ("WWW.Example.com", 2),
            ("www.example.com.", 2),
            ("example.com", 2),
            ("api.example.com", 1),
            ("a.api.example.com", 0),
            (".example.com", 1),
            ("com", 0),
            ("unknown.test", 0),
            ("", 0),
        ] {
            assert_eq!(index(Some(name)), Some(want), "{name}");
        }
        assert_eq!(index(None), Some(0));
        let strict = Choice::new(&list, UnknownName::Refuse);
        assert!(strict.find(Some("unknown.test"), ECDSA).is_none());
        assert!(strict.find(None, ECDSA).is_none());
        assert!(strict.find(Some("api.example.com"), ECDSA).is_some());
    }

    #[test]
    fn among_several_for_a_name_the_clients_algorithms_decide() {
        let (certificate, key) = {
            let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let other = Identity::from_pem(&certificate, &key).unwrap();
        let (certificate, key) = pem_for(&["a.example"], [2020, 2060]);
        let ecdsa = Identity::from_pem(&certificate, &key).unwrap();
        let choice = Choice::new(&[other.clone(), ecdsa.clone()], UnknownName::First);
        for name in [Some("a.example"), None] {
            assert!(Arc::ptr_eq(&choice.find(name, ECDSA).unwrap(), &ecdsa.key));
            let found = choice.find(name, &[SignatureScheme::ED25519]).unwrap();
            assert!(Arc::ptr_eq(&found, &other.key));
            assert!(choice.find(name, &[]).is_some());
        }
    }
}
