//! Redis's protocol, as much of it as is asked for here.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A connection of one client.
pub(crate) struct Resp {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: Vec<u8>,
}

impl Resp {
    pub(crate) async fn connect(port: u16) -> Result<Resp> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Resp { stream: BufReader::new(stream), request: Vec::new(), line: Vec::new() })
    }

    /// Sends a command, and gives its answer: text, or the bytes of a value.
    pub(crate) async fn ask(&mut self, words: &[&[u8]]) -> Result<Vec<u8>> {
        self.request.clear();
        self.request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.request.extend_from_slice(word);
            self.request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&self.request).await?;
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line).await?;
        let line = String::from_utf8_lossy(self.line.trim_ascii_end()).into_owned();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.as_bytes().to_vec()),
            Some(("$", "-1")) => Ok(Vec::new()),
            Some(("$", length)) => {
                let mut bytes = vec![0; length.parse::<usize>()? + 2];
                self.stream.read_exact(&mut bytes).await?;
                bytes.truncate(bytes.len() - 2);
                Ok(bytes)
            }
            _ => bail!("the server answers {line:?}"),
        }
    }
}
