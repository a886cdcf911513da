import AWSWire
import OrderedCollections

/// A member of a Kinesis request and its constraints, as the service's API model states them.
struct KinesisMember: Sendable {
    indirect enum Kind: Sendable {
        case string
        case integer
        case boolean
        case blob
        case timestamp
        case structure([KinesisMember])
        /// The service prints each element of a wrong list as `elementText`.
        case list(of: KinesisMember, elementText: String?)
        /// Of strings.
        case map(keys: KinesisMember, values: KinesisMember)
    }

    enum Pattern: String, Sendable {
        case name = "[a-zA-Z0-9_.-]+"
        case hashKey = "0|([1-9]\\d{0,38})"
        case sequenceNumber = "0|([1-9]\\d{0,128})"
        case streamARN = "arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"
        /// A stream's or a consumer's.
        case resourceARN = "arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+"
        case consumerARN =
            "^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+"
        case streamID = "[a-z0-9]{20}-[a-z0-9]{3}"

        func matches(_ text: String) -> Bool {
            let bytes = text.utf8
            switch self {
            case .name: return !text.isEmpty && text.utf8.allSatisfy(Self.isNameByte)
            case .streamID:
                let parts = text.split(separator: "-", omittingEmptySubsequences: false)
                return parts.map(\.utf8.count) == [20, 3]
                    && parts.allSatisfy { part in part.utf8.allSatisfy { 48...57 ~= $0 || 97...122 ~= $0 } }
            case .hashKey: return isNumber(bytes, digitsMax: 39)
            case .sequenceNumber: return isNumber(bytes, digitsMax: 129)
            case .streamARN: return Self.resource(of: text, anyPrefix: false).map { !$0.isEmpty } ?? false
            case .resourceARN: return Self.resource(of: text, anyPrefix: true).map { !$0.isEmpty } ?? false
            case .consumerARN:
                guard let resource = Self.resource(of: text, anyPrefix: true) else { return false }
                let parts = resource.split(separator: "/", omittingEmptySubsequences: false)
                guard parts.count == 3, parts[1] == "consumer", let colon = parts[2].lastIndex(of: ":") else {
                    return false
                }
                let number = parts[2][colon...].utf8.dropFirst()
                return [parts[0], parts[2][..<colon]].allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(Self.isNameByte) }
                    && !number.isEmpty && number.allSatisfy { 48...57 ~= $0 }
            }
        }

        /// What follows `stream/` in the ARN; `nil` where it is no ARN of Kinesis.
        private static func resource(of text: String, anyPrefix: Bool) -> Substring? {
            let parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
            guard parts.count == 6, parts[0] == "arn", parts[1].hasPrefix("aws"), parts[2] == "kinesis",
                parts[4].utf8.count == 12, parts[4].utf8.allSatisfy({ 48...57 ~= $0 }),
                !parts[5].contains(where: \.isWhitespace), let slash = parts[5].firstRange(of: "stream/"),
                anyPrefix || slash.lowerBound == parts[5].startIndex
            else { return nil }
            return parts[5][slash.upperBound...]
        }

        private static func isNameByte(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
                true
            default: false
            }
        }

        private func isNumber(_ bytes: String.UTF8View, digitsMax: Int) -> Bool {
            guard 1...digitsMax ~= bytes.count, bytes.allSatisfy({ 48...57 ~= $0 }) else { return false }
            return bytes.count == 1 || bytes.first != 48
        }
    }

    var name: String
    var kind: Kind
    var isRequired = false
    var pattern: Pattern?
    var length: ClosedRange<Int>?
    var values: ClosedRange<Int>?
    var choices: [String] = []

    /// The same member where it must be given.
    var required: KinesisMember {
        var member = self
        member.isRequired = true
        return member
    }
}

/// The checks that a Kinesis request passes before its operation sees it, in the service's words: first the types
/// (SerializationException), then all constraints at once (ValidationException).
enum KinesisInput {
    static func check(_ input: AWSValue, _ members: [KinesisMember]) throws(ServiceError) {
        for member in members {
            if let value = input[member.name] { try checkType(value, member.kind) }
        }
        var violations: [String] = []
        for member in members { collect(&violations, input[member.name], member, path: lowerFirst(member.name)) }
        guard !violations.isEmpty else { return }
        // The service stops at ten.
        let shown = violations.prefix(10)
        throw .validation(
            "\(shown.count) validation error\(shown.count > 1 ? "s" : "") detected: \(shown.joined(separator: "; "))")
    }

    private static func checkType(_ value: AWSValue, _ kind: KinesisMember.Kind) throws(ServiceError) {
        switch kind {
        case .string: try checkScalar(value, "an String") { $0.string != nil }
        case .integer: try checkScalar(value, "an Integer") { $0.double != nil }
        case .boolean: try checkScalar(value, "an Boolean") { $0.bool != nil }
        case .timestamp: try checkScalar(value, "milliseconds since epoch") { $0.double != nil }
        case .blob:
            if case .bytes = value { return }
            try checkScalar(value, "a Blob") { $0.string != nil }
            let count = value.string?.utf8.count ?? 0
            if count % 4 != 0 {
                throw .serialization(
                    "'\(value.string ?? "")' can not be converted to a Blob: "
                        + "Base64 encoded length is expected a multiple of 4 bytes but found: \(count)")
            }
        case .structure(let members):
            guard case .map = value else { throw wrongStart(value, expected: "null") }
            for member in members {
                if let value = value[member.name] { try checkType(value, member.kind) }
            }
        case .list(let element, _):
            guard let list = value.list else { throw wrongStart(value, expected: "list or null") }
            for value in list where value != .null { try checkType(value, element.kind) }
        case .map(_, let values):
            guard let map = value.map else { throw wrongStart(value, expected: "map or null") }
            for value in map.values where value != .null { try checkType(value, values.kind) }
        }
    }

    private static func checkScalar(
        _ value: AWSValue, _ target: String, _ isRight: (AWSValue) -> Bool
    ) throws(ServiceError) {
        if isRight(value) { return }
        switch value {
        case .list, .map: throw wrongStart(value, expected: "")
        case .bool: throw .serialization("class java.lang.Boolean can not be converted to \(target)")
        case .int, .double, .timestamp:
            throw .serialization(
                "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to \(target)")
        case .string, .bytes, .null:
            throw .serialization("class java.lang.String can not be converted to \(target)")
        }
    }

    private static func wrongStart(_ value: AWSValue, expected: String) -> ServiceError {
        switch value {
        case .list: .serialization("Start of list found where not expected")
        case .map: .serialization("Start of structure or map found where not expected.")
        default: .serialization("Expected \(expected)")
        }
    }

    private static func collect(
        _ violations: inout [String], _ value: AWSValue?, _ member: KinesisMember, path: @autoclosure () -> String
    ) {
        func violate(_ constraint: String) {
            violations.append(
                "Value \(text(of: value, member)) at '\(path())' failed to satisfy constraint: \(constraint)")
        }
        guard let value, value != .null else {
            if member.isRequired { violate("Member must not be null") }
            return
        }
        if let pattern = member.pattern, let text = value.string, !pattern.matches(text) {
            violate("Member must satisfy regular expression pattern: \(pattern.rawValue)")
        }
        if !member.choices.isEmpty, let text = value.string, !member.choices.contains(text) {
            violate("Member must satisfy enum value set: [\(member.choices.joined(separator: ", "))]")
        }
        if let limits = member.length {
            let length = length(of: value, member.kind)
            if length < limits.lowerBound {
                violate("Member must have length greater than or equal to \(limits.lowerBound)")
            }
            if length > limits.upperBound {
                violate("Member must have length less than or equal to \(limits.upperBound)")
            }
        }
        if let limits = member.values, let number = value.double {
            if number < Double(limits.lowerBound) {
                violate("Member must have value greater than or equal to \(limits.lowerBound)")
            }
            if number > Double(limits.upperBound) {
                violate("Member must have value less than or equal to \(limits.upperBound)")
            }
        }
        collectParts(&violations, value, member, path: path())
    }

    private static func collectParts(
        _ violations: inout [String], _ value: AWSValue, _ member: KinesisMember, path: @autoclosure () -> String
    ) {
        switch member.kind {
        case .structure(let members):
            for part in members {
                collect(&violations, value[part.name], part, path: "\(path()).\(lowerFirst(part.name))")
            }
        case .list(let element, _):
            if case .structure = element.kind {
                for (index, value) in (value.list ?? []).enumerated() {
                    if violations.count >= 10 { return }
                    collect(&violations, value, element, path: "\(path()).\(index + 1).member")
                }
            } else {
                collectAll(&violations, value.list ?? [], element, "Member", of: value, member, path())
            }
        case .map(let keys, let values):
            let map = value.map ?? [:]
            collectAll(&violations, map.keys.map { .string($0) }, keys, "Map keys", of: value, member, path())
            collectAll(&violations, Array(map.values), values, "Map value", of: value, member, path())
        case .string, .integer, .boolean, .blob, .timestamp: break
        }
    }

    /// What the service says of simple elements: that one of them breaks a constraint, and which constraints there are.
    private static func collectAll(
        _ violations: inout [String], _ elements: [AWSValue], _ element: KinesisMember, _ name: String,
        of value: AWSValue, _ member: KinesisMember, _ path: String
    ) {
        let isWrong = elements.contains { part in
            var found: [String] = []
            collect(&found, part, element, path: "")
            return !found.isEmpty
        }
        guard isWrong else { return }
        var constraints: [String] = []
        if let limits = element.length {
            constraints = [
                "Member must have length less than or equal to \(limits.upperBound)",
                "Member must have length greater than or equal to \(limits.lowerBound)",
            ]
        }
        if !element.choices.isEmpty {
            constraints.append("Member must satisfy enum value set: [\(element.choices.joined(separator: ", "))]")
        }
        violations.append(
            "Value \(text(of: value, member)) at '\(path)' failed to satisfy constraint: \(name) must satisfy "
                + "constraint: [\(constraints.joined(separator: ", "))]")
    }

    private static func length(of value: AWSValue, _ kind: KinesisMember.Kind) -> Int {
        switch value {
        case .string(let text):
            if case .blob = kind { return blobLength(text) }
            return text.unicodeScalars.count
        case .bytes(let bytes): return bytes.count
        case .list(let list): return list.count
        case .map(let map): return map.count
        case .null, .bool, .int, .double, .timestamp: return 0
        }
    }

    private static func blobLength(_ base64: String) -> Int {
        base64.utf8.count / 4 * 3 - base64.utf8.suffix(2).count { $0 == UInt8(ascii: "=") }
    }

    private static func text(of value: AWSValue?, _ member: KinesisMember) -> String {
        switch (value, member.kind) {
        case (nil, _), (.null, _): return "null"
        case (.string, .blob), (.bytes, .blob):
            let count = value.map { length(of: $0, member.kind) } ?? 0
            return "'java.nio.HeapByteBuffer[pos=0 lim=\(count) cap=\(count)]'"
        case (.string(let text), _): return "'\(text)'"
        // The service reads a number that is too large as the largest one.
        case (.int(let number), .integer): return "'\(min(max(number, Int64(Int32.min)), Int64(Int32.max)))'"
        case (.int(let number), _): return "'\(number)'"
        case (.double(let number), _): return "'\(number)'"
        case (.map(let map), .map):
            return "'{\(map.map { "\($0.key)=\($0.value.string ?? "null")" }.joined(separator: ", "))}'"
        case (.list(let list), .list(_, let elementText)):
            return "'[\(list.map { elementText ?? $0.string ?? "" }.joined(separator: ", "))]'"
        default: return "'\(value.map(JSON.text) ?? "")'"
        }
    }

    private static func lowerFirst(_ name: String) -> String {
        // `streamARN` and `consumerARN` keep their capitals behind the first letter.
        name.prefix(1).lowercased() + name.dropFirst()
    }
}
