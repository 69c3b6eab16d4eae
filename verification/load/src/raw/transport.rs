//! One of this project's transports, without the client.

use super::{Raw, RawBody};
use crate::Result;
use bytes::{Bytes, BytesMut};
use durable_streams::contract::{Body, DefaultTransport, SendOptions, TransportOptions};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};

#[derive(Clone)]
pub(crate) struct TransportRaw<T>(T);

pub(crate) struct TransportBody {
    body: Body,
    piece: Bytes,
}

fn success(response: Response<Body>) -> Result<Response<Body>> {
    if response.status().is_success() { Ok(response) } else { Err(response.status().to_string().into()) }
}

impl<T: DefaultTransport + Clone> Raw for TransportRaw<T> {
    type Body = TransportBody;

    fn new() -> Result<Self> {
        Ok(Self(T::from_options(&TransportOptions::default())?))
    }

    async fn post(&self, url: &str, content_type: &'static str, body: Bytes) -> Result<()> {
        let mut request = Request::post(url).body(body)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let mut body = success(self.0.send(request, SendOptions::new()).await?)?.into_body();
        while let Some(chunk) = body.next_chunk().await {
            chunk?;
        }
        Ok(())
    }

    async fn get(&self, url: &str) -> Result<(Self::Body, Option<String>)> {
        let request = Request::get(url).body(Bytes::new())?;
        let response = success(self.0.send(request, SendOptions::new().with_live(true)).await?)?;
        let offset = match response.headers().get("stream-next-offset") {
            Some(offset) => Some(offset.to_str()?.to_owned()),
            None => None,
        };
        Ok((TransportBody { body: response.into_body(), piece: Bytes::new() }, offset))
    }
}

impl RawBody for TransportBody {
    async fn advance(&mut self) -> Result<bool> {
        let piece = self.body.next_chunk().await.transpose()?;
        let more = piece.is_some();
        self.piece = piece.unwrap_or_default();
        Ok(more)
    }

    fn piece(&self) -> &[u8] {
        &self.piece
    }

    async fn whole(mut self) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while self.advance().await? {
            whole.extend_from_slice(&self.piece);
        }
        Ok(whole.freeze())
    }
}
