//! A relay in front of the server that can cut a connection just before or just after a COMMIT reaches the server.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PASS: u8 = 0;
const CUT_BEFORE: u8 = 1;
const CUT_AFTER: u8 = 2;

pub struct Proxy {
    port: u16,
    order: Arc<AtomicU8>,
}

impl Proxy {
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let order = Arc::new(AtomicU8::new(PASS));
        let orders = order.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(relay(client, server, orders.clone()));
            }
        });
        Self { port, order }
    }

    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    pub fn cut_at_next_commit(&self, reaches_server: bool) {
        self.order.store(if reaches_server { CUT_AFTER } else { CUT_BEFORE }, Ordering::SeqCst);
    }

    pub fn has_cut(&self) -> bool {
        self.order.load(Ordering::SeqCst) == PASS
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, order: Arc<AtomicU8>) {
    let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(count @ 1..) = read else { return };
                let commits = request[..count].ends_with(b"\x03COMMIT");
                let what = if commits { order.swap(PASS, Ordering::SeqCst) } else { PASS };
                if what == CUT_BEFORE || server.write_all(&request[..count]).await.is_err() {
                    return;
                }
                if what == CUT_AFTER {
                    // Its answer says that it is done; nobody else gets to see that.
                    let _ = server.read(&mut answer).await;
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
