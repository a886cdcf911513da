extension EmulatorServer {
    /// What clients may ask of the server, each and together.
    package struct Limits: Sendable {
        /// Larger bodies are answered with 413. The service's largest request is 10 MiB of data in base64.
        package var bodyBytesMax = 16 << 20
        /// Bodies that are here but not answered yet, of all connections together; beyond, requests get 503.
        package var bodiesBytesMax = 512 << 20
        /// Names and values of a request's headers together; more are answered with 431.
        package var headerBytesMax = 16 << 10
        package var headersMax = 100
        /// One more takes the place of the connection that idles longest, or is closed where none idles.
        package var connectionsMax = 16_384
        /// Requests under way on one HTTP/2 connection.
        package var streamsMax = 256
        /// Answers of one HTTP/2 connection that wait for their reader; further requests wait until it has read.
        package var unreadAnswerBytesMax = 32 << 20
        /// How long a connection may take until its next request is there whole.
        package var idleTimeout: Duration = .seconds(75)
        /// How long a reader may take for each 64 KiB of an answer.
        package var stallTimeout: Duration = .seconds(75)
        /// The same of a stream; the service ends each subscription after 5 minutes.
        package var streamStallTimeout: Duration = .seconds(360)
        /// After so long, `shutdown` closes what is still open.
        package var shutdownGrace: Duration = .seconds(30)
        /// Resets that a client may send on one HTTP/2 connection in half a minute, and so many pings and settings.
        package var nuisanceFramesMax = 400

        package init() {}
    }
}
