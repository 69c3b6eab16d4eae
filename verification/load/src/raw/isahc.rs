use super::{Raw, reading::Reading};
use crate::Result;
use ::isahc::config::{Configurable, ExpectContinue, VersionNegotiation};
use ::isahc::http::{Request, Response};
use ::isahc::{AsyncBody, AsyncReadResponseExt, HttpClient};
use bytes::Bytes;
use http::header::CONTENT_TYPE;

#[derive(Clone)]
pub(crate) struct IsahcRaw(HttpClient);

fn checked(response: Response<AsyncBody>) -> Result<Response<AsyncBody>> {
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(format!("the server answered {status}").into()),
    }
}

impl Raw for IsahcRaw {
    type Body = Reading<AsyncBody>;

    fn new() -> Result<Self> {
        let client = HttpClient::builder()
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .version_negotiation(VersionNegotiation::http11())
            .proxy(None)
            .tcp_nodelay()
            .build()?;
        Ok(Self(client))
    }

    async fn post(&self, url: &str, content_type: &'static str, body: Bytes) -> Result<()> {
        let request =
            Request::post(url).header(CONTENT_TYPE, content_type).body(AsyncBody::from_bytes_static(body))?;
        checked(self.0.send_async(request).await?)?.consume().await?;
        Ok(())
    }

    async fn get(&self, url: &str) -> Result<(Self::Body, Option<String>)> {
        let response = checked(self.0.get_async(url).await?)?;
        let offset = match response.headers().get("stream-next-offset") {
            Some(offset) => Some(offset.to_str()?.to_owned()),
            None => None,
        };
        Ok((Reading::new(response.into_body()), offset))
    }
}
