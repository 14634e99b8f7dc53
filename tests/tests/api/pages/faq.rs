//! docs/faq.md, which starts from the end of the guide.

use std::fs;

use sealed_secrets_tests::Cluster;

use super::Reader;
use super::stand_in::StandIn;
use super::transcript::steps;

const CERTIFICATE: &str = include_str!("../../../../core/tests/data/rsa2048.crt");
const KEY: &str = include_str!("../../../../core/tests/data/rsa2048-pkcs1.pem");

#[tokio::test]
async fn the_answers_to_questions_hold_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let _controller = StandIn::with_one_sealed(&cluster, &reader).await;
    fs::write(reader.laptop.folder().join("my.crt"), CERTIFICATE).unwrap();
    fs::write(reader.laptop.folder().join("my.key"), KEY).unwrap();
    for step in steps("docs/faq.md") {
        reader.follow(&step);
    }
}
