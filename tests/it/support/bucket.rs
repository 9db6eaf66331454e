//! What lies in the bucket of a world, seen and altered by the real SDK's client.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use dbbackup::checksum::{Algorithm, Digest};
use serde_json::Value;

use super::BUCKET;
use super::world::World;

impl World {
    /// Every key of the bucket, sorted.
    pub fn all_keys(&self) -> Vec<String> {
        self.sizes().into_keys().collect()
    }

    /// Every key of the bucket with its object's bytes.
    pub fn sizes(&self) -> BTreeMap<String, u64> {
        self.runtime.block_on(async {
            let mut sizes = BTreeMap::new();
            let mut pages = self.client.list_objects_v2().bucket(BUCKET).into_paginator().send();
            while let Some(page) = pages.next().await {
                sizes.extend(page.unwrap().contents().iter().map(|object| {
                    (object.key().unwrap().to_owned(), object.size().unwrap().cast_unsigned())
                }));
            }
            sizes
        })
    }

    /// The keys of data, sorted.
    pub fn keys(&self) -> Vec<String> {
        let records = |key: &String| key.contains("/_catalog/") || key.contains("/_runs/");
        self.all_keys().into_iter().filter(|key| !records(key)).collect()
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let reply = self.client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
            reply.body.collect().await.unwrap().to_vec()
        })
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let body = ByteStream::from(bytes.into());
        let put = self.client.put_object().bucket(BUCKET).key(key).body(body).send();
        self.runtime.block_on(put).unwrap();
    }

    /// As another program stored it, with a checksum of which no ranges can be folded: a restore's journal has no
    /// line of such an object where it is small.
    pub fn put_with_sha256(&self, key: &str, bytes: &[u8]) {
        let mut digest = Digest::new(Algorithm::Sha256);
        digest.update(bytes);
        let put = self.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(bytes.to_vec()));
        let put = put.checksum_sha256(digest.full_object().value).send();
        self.runtime.block_on(put).unwrap();
    }

    pub fn delete(&self, key: &str) {
        self.runtime.block_on(self.client.delete_object().bucket(BUCKET).key(key).send()).unwrap();
    }

    /// Begins an upload as somebody else.
    pub fn begin_upload(&self, key: &str) {
        let begin = self.client.create_multipart_upload().bucket(BUCKET).key(key).send();
        self.runtime.block_on(begin).unwrap();
    }

    /// The key of every version and of every delete marker in the bucket.
    pub fn versions(&self) -> Vec<String> {
        let reply = self.runtime.block_on(self.client.list_object_versions().bucket(BUCKET).send()).unwrap();
        let versions = reply.versions().iter().filter_map(|version| version.key());
        versions
            .chain(reply.delete_markers().iter().filter_map(|marker| marker.key()))
            .map(str::to_owned)
            .collect()
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        let reply = self.runtime.block_on(self.client.list_multipart_uploads().bucket(BUCKET).send());
        reply.unwrap().uploads().len()
    }

    /// The keys of uploads that were begun and neither completed nor aborted.
    pub fn open_keys(&self) -> Vec<String> {
        let reply = self.runtime.block_on(self.client.list_multipart_uploads().bucket(BUCKET).send());
        reply.unwrap().uploads().iter().map(|upload| upload.key().unwrap().to_owned()).collect()
    }

    /// How many parts of unfinished uploads are in the bucket.
    pub fn held_parts(&self) -> u64 {
        self.runtime.block_on(async {
            let open = self.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
            let mut held = 0;
            for upload in open.uploads() {
                let list = self.client.list_parts().bucket(BUCKET).key(upload.key().unwrap());
                let parts = list.upload_id(upload.upload_id().unwrap()).send().await.unwrap();
                held += parts.parts().len() as u64;
            }
            held
        })
    }

    /// Empties the bucket and what the host remembers of it.
    pub fn forget_everything(&self) {
        for key in self.all_keys() {
            self.delete(&key);
        }
        let _nothing_there = fs::remove_dir_all(self.path("state"));
    }

    /// Waits until parts of an unfinished upload are in the bucket.
    pub fn wait_for_a_part(&self) {
        let begun = Instant::now();
        while !self.runtime.block_on(self.has_a_part()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no part arrived");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    async fn has_a_part(&self) -> bool {
        let open = self.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
        let Some(upload) = open.uploads().first() else { return false };
        let list = self.client.list_parts().bucket(BUCKET).key(upload.key().unwrap());
        let parts = list.upload_id(upload.upload_id().unwrap()).send().await.unwrap();
        !parts.parts().is_empty()
    }

    /// The manifests in the bucket. Fails unless every object that one names is there, with the size
    /// and the checksum it tells.
    #[track_caller]
    pub fn whole_manifests(&self) -> Vec<Value> {
        let keys = self.all_keys();
        let manifests: Vec<Value> = keys
            .iter()
            .filter(|key| key.ends_with("/manifest.json"))
            .map(|key| serde_json::from_slice(&self.get(key)).unwrap())
            .collect();
        for file in manifests.iter().flat_map(|manifest| manifest["files"].as_array().unwrap()) {
            let bytes = self.get(file["key"].as_str().unwrap());
            let mut digest = Digest::new(Algorithm::Crc64Nvme);
            digest.update(&bytes);
            assert_eq!(file["size"], bytes.len(), "{file}");
            assert_eq!(file["checksum"]["value"], digest.full_object().value.as_str(), "{file}");
        }
        manifests
    }
}
