//! Requests of plugins over TLS: servers prove their names by the system's authorities.

use portcullis_tests::tls::{Authority, Front};

use super::*;

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_alone() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let other = up();
    let fronts = [
        ours.sign(&["localhost"]),
        ours.sign(&["elsewhere.example"]),
        others.sign(&["localhost"]),
    ]
    .map(|leaf| Front::before(other.address(), &leaf).start());
    let ports = fronts.each_ref().map(|front| front.address().port());
    let grants = ports.map(|port| format!("'https://localhost:{port}'"));
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ours.pem");
    std::fs::write(&trusted, ours.pem()).unwrap();
    let gateway = front(
        &up(),
        &format!(
            "allow.http = [{}]\nallow.private-networks = ['127.0.0.0/8', '::1']",
            grants.join(", ")
        ),
    )
    .variable("SSL_CERT_FILE", trusted.to_str().unwrap())
    .start_binary()
    .await;
    let mut told = Vec::new();
    for port in ports {
        let answer = gateway
            .send(&order(&format!("send GET https://localhost:{port}/")))
            .await;
        told.push(answer.text().to_owned());
    }
    assert_eq!(told[0], "200 up");
    assert!(
        told[1..].iter().all(|told| told.starts_with("failed: ")),
        "{told:?}"
    );
    assert_eq!(other.requests().len(), 1);
}
