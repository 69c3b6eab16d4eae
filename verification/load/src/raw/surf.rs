use super::{Raw, reading::Reading};
use crate::{Error, Result};
use ::surf::{Body, Client, Config, Response, StatusCode};
use bytes::Bytes;
use http::header::CONTENT_TYPE;

#[derive(Clone)]
pub(crate) struct SurfRaw(Client);

fn checked(response: Response) -> Result<Response> {
    match response.status() {
        StatusCode::Ok | StatusCode::Created | StatusCode::NoContent => Ok(response),
        status => Err(format!("the server answered {status}").into()),
    }
}

impl Raw for SurfRaw {
    type Body = Reading<Response>;

    fn new() -> Result<Self> {
        // Without these a small request waits 40 ms for its first answer, and a live one a minute for its end.
        let config =
            Config::new().set_tcp_no_delay(true).set_timeout(None).set_max_connections_per_host(2000);
        Ok(Self(Client::try_from(config)?))
    }

    async fn post(&self, url: &str, content_type: &'static str, body: Bytes) -> Result<()> {
        let request =
            self.0.post(url).header(CONTENT_TYPE.as_str(), content_type).body(Body::from(&body[..]));
        let mut response = checked(request.send().await.map_err(Error::from)?)?;
        response.body_bytes().await.map_err(Error::from)?;
        Ok(())
    }

    async fn get(&self, url: &str) -> Result<(Self::Body, Option<String>)> {
        let response = checked(self.0.get(url).send().await.map_err(Error::from)?)?;
        let offset = response.header("stream-next-offset").map(|values| values.as_str().to_owned());
        Ok((Reading::new(response), offset))
    }
}
