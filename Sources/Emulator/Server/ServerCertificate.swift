import AWSWire
import Crypto
import FoundationEssentials
package import Machine
import NIOCore
import NIOSSL

/// The certificate of a server with TLS, made at its start: for this machine's names and the address it is bound to,
/// signed by an authority that is made with it and whose key is thrown away at once.
///
/// Two, because some clients trust no certificate that is its own authority. Written here (RFC 5280), because the
/// package that does it links all of Foundation, three times the size of everything else.
package struct ServerCertificate: Sendable {
    /// What a client must trust, in PEM, without a line break at the end.
    package let authorityPEM: String
    private let chain: [NIOSSLCertificate]
    private let key: NIOSSLPrivateKey

    /// Some clients believe in nothing that lasts longer than 825 days.
    private static let lifetime: Duration = .seconds(800 * 24 * 3600)
    /// How far back it is valid, for clients whose clock is behind.
    private static let leeway: Duration = .seconds(24 * 3600)

    /// - Parameter host: the address that the server is bound to.
    package init(host: String, now: UnixTime) throws(EmulatorServerError) {
        do {
            let authorityKey = P256.Signing.PrivateKey()
            let authorityName = Self.name("shardtop emulate")
            let authorityID = Self.keyID(authorityKey.publicKey)
            let authority = try Self.certificate(
                of: authorityKey.publicKey, named: authorityName, at: now, by: authorityKey, named: authorityName,
                extensions: [
                    Self.basicConstraints(DER.sequence(DER.boolean(true), DER.integer(0))),
                    // keyCertSign and cRLSign.
                    Self.keyUsage(DER.bits([0x06], unusedBits: 1)),
                    Self.subjectKeyID(authorityID),
                ])
            let serverKey = P256.Signing.PrivateKey()
            let server = try Self.certificate(
                of: serverKey.publicKey, named: Self.name("localhost"), at: now, by: authorityKey,
                named: authorityName,
                extensions: [
                    Self.basicConstraints(DER.sequence()),
                    // digitalSignature.
                    Self.keyUsage(DER.bits([0x80], unusedBits: 7)),
                    Self.serverUsage, Self.alternativeNames(host),
                    Self.subjectKeyID(Self.keyID(serverKey.publicKey)), Self.authorityKeyID(authorityID),
                ])
            authorityPEM = Self.pem(authority)
            chain = try [server, authority].map { try NIOSSLCertificate(bytes: $0, format: .der) }
            key = try NIOSSLPrivateKey(bytes: Array(serverKey.derRepresentation), format: .der)
        } catch {
            throw EmulatorServerError("cannot make a certificate: \(error)")
        }
    }

    private static func certificate(
        of key: P256.Signing.PublicKey, named subject: [UInt8], at now: UnixTime, by issuerKey: P256.Signing.PrivateKey,
        named issuer: [UInt8], extensions: [[UInt8]]
    ) throws -> [UInt8] {
        // ecdsa-with-SHA256
        let algorithm = DER.sequence(DER.identifier(1, 2, 840, 10_045, 4, 3, 2))
        let serial = SymmetricKey(size: .bits128).withUnsafeBytes { Array($0) }
        let content = DER.sequence(
            DER.context(0, DER.integer(2)), DER.integer(serial), algorithm, issuer,
            DER.sequence(DER.time(now - leeway), DER.time(now + lifetime)), subject, Array(key.derRepresentation),
            DER.context(3, DER.sequence(extensions.flatMap { $0 })))
        let signature = try issuerKey.signature(for: content).derRepresentation
        return DER.sequence(content, algorithm, DER.bits(Array(signature)))
    }

    /// A name that is a common name alone.
    private static func name(_ text: String) -> [UInt8] {
        DER.sequence(DER.set(DER.sequence(DER.identifier(2, 5, 4, 3), DER.text(text))))
    }

    private static func keyID(_ key: P256.Signing.PublicKey) -> [UInt8] {
        Array(SHA256.hash(data: key.x963Representation).prefix(20))
    }

    private static func pem(_ certificate: [UInt8]) -> String {
        let base64 = Array(Base64.encode(Bytes(certificate)).utf8)
        let lines = stride(from: 0, to: base64.count, by: 64).map { start in
            String(decoding: base64[start..<min(start + 64, base64.count)], as: UTF8.self)
        }
        return (["-----BEGIN CERTIFICATE-----"] + lines + ["-----END CERTIFICATE-----"]).joined(separator: "\n")
    }

    func context() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.applicationProtocols = ["h2", "http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }
}

/// Extensions of certificates, RFC 5280 §4.2.
extension ServerCertificate {
    private static func certificateExtension(_ number: UInt, isCritical: Bool = false, _ value: [UInt8]) -> [UInt8] {
        let identifier = DER.identifier(2, 5, 29, number)
        return isCritical
            ? DER.sequence(identifier, DER.boolean(true), DER.octets(value))
            : DER.sequence(identifier, DER.octets(value))
    }

    private static func basicConstraints(_ value: [UInt8]) -> [UInt8] {
        certificateExtension(19, isCritical: true, value)
    }

    private static func keyUsage(_ value: [UInt8]) -> [UInt8] { certificateExtension(15, isCritical: true, value) }

    private static func subjectKeyID(_ id: [UInt8]) -> [UInt8] { certificateExtension(14, DER.octets(id)) }

    private static func authorityKeyID(_ id: [UInt8]) -> [UInt8] {
        certificateExtension(35, DER.sequence(DER.contextPrimitive(0, id)))
    }

    private static var serverUsage: [UInt8] {
        certificateExtension(37, DER.sequence(DER.identifier(1, 3, 6, 1, 5, 5, 7, 3, 1)))
    }

    /// This machine by name and address, and where the server is bound to another one, that too.
    private static func alternativeNames(_ host: String) -> [UInt8] {
        var names: [[UInt8]] = []
        for text in ["localhost", "*.localhost", "127.0.0.1", "::1", host] {
            let address = (try? SocketAddress(ipAddress: text, port: 0)).flatMap(bytes(of:))
            let name = address.map { DER.contextPrimitive(7, $0) } ?? DER.contextPrimitive(2, Array(text.utf8))
            if !names.contains(name) { names.append(name) }
        }
        return certificateExtension(17, DER.sequence(names.flatMap { $0 }))
    }

    /// The bytes of an address, which lie at these places of `sockaddr_in` and `sockaddr_in6` on every system.
    private static func bytes(of address: SocketAddress) -> [UInt8]? {
        switch address {
        case .v4(let address): withUnsafeBytes(of: address.address) { Array($0[4..<8]) }
        case .v6(let address): withUnsafeBytes(of: address.address) { Array($0[8..<24]) }
        case .unixDomainSocket: nil
        }
    }
}
