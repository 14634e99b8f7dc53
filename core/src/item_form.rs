//! The form of a sealed item, as far as it shows without a private key.

use crate::crypto::envelope::Envelope;
use crate::decryption::decode;

/// Lengths of a sealed item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemForm {
    /// Length of the value, in bytes.
    pub value_bytes: usize,
    /// Length of the key that sealed it, in bits.
    pub key_bits: usize,
}

/// Returns the lengths of an item of `spec.encryptedData`; `None` if the text cannot be a ciphertext.
#[must_use]
pub fn item_form(text: &str) -> Option<ItemForm> {
    let bytes = decode(text).ok()?;
    let envelope = Envelope::parse(&bytes).ok().filter(Envelope::has_known_block)?;
    Some(ItemForm { value_bytes: envelope.value_len(), key_bits: envelope.block_len() * 8 })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use sealed_secrets_crds::Scope;

    use super::*;
    use crate::crypto::SealingCertificate;
    use crate::label::Label;
    use crate::seal::seal_value;

    #[test]
    fn an_item_shows_the_length_of_its_value_and_of_its_key() {
        for (pem, key_bits) in [
            (include_str!("../tests/data/rsa2048.crt"), 2048),
            (include_str!("../tests/data/rsa4096.crt"), 4096),
        ] {
            let certificate = SealingCertificate::from_pem(pem.as_bytes()).unwrap();
            for value_bytes in [0, 1, 32, 5000] {
                let label = Label::new(Scope::Strict, "shop", "db");
                let value = vec![7; value_bytes];
                let item =
                    seal_value(&mut StdRng::seed_from_u64(1), certificate.public_key(), &label, &value)
                        .unwrap();
                assert_eq!(item_form(&item), Some(ItemForm { value_bytes, key_bits }));
            }
        }
    }

    #[test]
    fn a_text_that_is_no_ciphertext_has_no_form() {
        let short_block = STANDARD.encode([&[0, 128][..], &[7; 128 + 16]].concat());
        let cut = STANDARD.encode([&[1, 0][..], &[7; 256 + 15]].concat());
        for text in ["", "hunter2", "aHVudGVyMg==", "<sealed 1>", &short_block, &cut] {
            assert_eq!(item_form(text), None, "{text}");
        }
        assert!(item_form(&STANDARD.encode([&[1, 0][..], &[7; 256 + 16]].concat())).is_some());
    }
}
