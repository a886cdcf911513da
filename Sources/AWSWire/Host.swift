/// The machine around the program: what the environment and the files say. A seam, so that tests and the simulation
/// bring their own.
public protocol Host: Sendable {
    /// The environment, read once at the start.
    var environment: [String: String] { get }
    /// Where `~` points to; `nil` where the user has no home.
    var homeDirectory: String? { get }
    /// The whole file; `nil` where there is none. Throws where there is one that cannot be read or is too large.
    func readFile(_ path: String, bytesMax: Int) throws(HostError) -> [UInt8]?
}

extension Host {
    /// The value of the variable `name`; `nil` where it is not set or empty, which means the same to AWS's tools.
    public func variable(_ name: String) -> String? {
        guard let value = environment[name], !value.isEmpty else { return nil }
        return value
    }
}

public struct HostError: Error, Hashable, CustomStringConvertible {
    public var message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}
