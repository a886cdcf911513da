public import ArgumentParser
import Machine

extension Duration: @retroactive ExpressibleByArgument {
    /// `250ms`, `30s`, `5m`, `2h`; a bare number is seconds.
    public init?(argument: String) { self.init(spelled: argument) }
}
