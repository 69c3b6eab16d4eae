//! The types of the library on one stack.

/// Aliases of the library's types on `$transport` and `$runtime`, and `stream`.
macro_rules! aliases {
    ($transport:ty, $runtime:ty, $name:literal) => {
        #[doc = concat!("A client on ", $name, ".")]
        pub type Client = crate::client::Client<$transport, $runtime>;
        #[doc = concat!("A builder of a client on ", $name, ".")]
        pub type ClientBuilder = crate::client::ClientBuilder<$transport, $runtime>;
        #[doc = concat!("A stream's handle on ", $name, ".")]
        pub type DurableStream = crate::stream::DurableStream<$transport, $runtime>;
        #[doc = concat!("An exactly-once producer on ", $name, ".")]
        pub type IdempotentProducer = crate::producer::IdempotentProducer<$transport, $runtime>;
        #[doc = concat!("Sets up an exactly-once producer on ", $name, ".")]
        pub type ProducerBuilder = crate::producer::ProducerBuilder<$transport, $runtime>;
        #[doc = concat!("Sets up a reader on ", $name, ".")]
        pub type ReaderBuilder = crate::reader::ReaderBuilder<$transport, $runtime>;
        #[doc = concat!("A reader's chunks on ", $name, ".")]
        pub type ChunkIterator = crate::reader::ChunkIterator<$transport, $runtime>;
        #[doc = concat!("A reader's bytes on ", $name, ".")]
        pub type ByteStream = crate::reader::ByteStream<$transport, $runtime>;
        #[doc = concat!("A reader's text on ", $name, ".")]
        pub type TextStream = crate::reader::TextStream<$transport, $runtime>;
        #[doc = concat!("A reader's JSON values on ", $name, ".")]
        #[cfg(feature = "json")]
        pub type JsonStream<V> = crate::reader::JsonStream<V, $transport, $runtime>;
        #[doc = concat!("A single read on ", $name, ".")]
        pub type StreamRequest = crate::reader::StreamRequest<$transport, $runtime>;
        #[doc = concat!("A reader that has started, on ", $name, ".")]
        pub type StreamResponse = crate::reader::StreamResponse<$transport, $runtime>;

        /// Reads the stream at `url`, an absolute URL: awaiting it gives a [`StreamResponse`].
        ///
        /// For a read now and then. Each has a client, and so connections, of its own; a [`Client`] shares them.
        pub fn stream(url: impl AsRef<str>) -> StreamRequest {
            StreamRequest::new(url.as_ref())
        }
    };
}

pub(super) use aliases;
