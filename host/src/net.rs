//! Listening sockets and client connections: binding, watching over slow or idle clients, draining. It
//! knows no configuration file and no request.

mod answer;
mod body;
mod connection;
mod date;
pub mod http1;
pub mod http2;
mod inlet;
mod kept;
mod listen;
mod protocol;
mod secure;
mod stream;
mod tunnel;
mod unparsed;
mod watched;

pub use self::answer::Answer;
pub use self::body::{Changed, ClientBody, ClientBodyError, CutOff, RequestBody};
pub use self::connection::{Conn, Phase, Times};
pub use self::inlet::Inlet;
pub use self::kept::Kept;
pub use self::listen::{BindError, Listening, Socket, bind, bind_beside};
pub use self::protocol::{Protocol, Spoken};
pub use self::secure::{HandshakeError, secure};
pub use self::stream::{Accepted, ClientStream};
pub use self::tunnel::{Carried, TunnelEnd, tie};
pub use self::unparsed::Unparsed;
pub use self::watched::Watched;
