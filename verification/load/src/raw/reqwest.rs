use super::{Raw, RawBody};
use crate::Result;
use bytes::Bytes;

#[derive(Clone)]
pub(crate) struct ReqwestRaw(::reqwest::Client);

pub(crate) struct ReqwestBody {
    response: ::reqwest::Response,
    piece: Bytes,
}

impl Raw for ReqwestRaw {
    type Body = ReqwestBody;

    fn new() -> Result<Self> {
        Ok(Self(::reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?))
    }

    async fn post(&self, url: &str, content_type: &'static str, body: Bytes) -> Result<()> {
        let request = self.0.post(url).header(http::header::CONTENT_TYPE, content_type).body(body);
        let mut response = request.send().await?.error_for_status()?;
        while response.chunk().await?.is_some() {}
        Ok(())
    }

    async fn get(&self, url: &str) -> Result<(Self::Body, Option<String>)> {
        let response = self.0.get(url).send().await?.error_for_status()?;
        let offset = match response.headers().get("stream-next-offset") {
            Some(offset) => Some(offset.to_str()?.to_owned()),
            None => None,
        };
        Ok((ReqwestBody { response, piece: Bytes::new() }, offset))
    }
}

impl RawBody for ReqwestBody {
    async fn advance(&mut self) -> Result<bool> {
        let piece = self.response.chunk().await?;
        let more = piece.is_some();
        self.piece = piece.unwrap_or_default();
        Ok(more)
    }

    fn piece(&self) -> &[u8] {
        &self.piece
    }

    async fn whole(self) -> Result<Bytes> {
        Ok(self.response.bytes().await?)
    }
}
