import Machine

/// How often and how long after a failure a call is sent again: exponential back-off with full jitter, and a budget
/// that a client's calls share, so that an outage is not made worse.
///
/// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html (standard mode)
public struct RetryPolicy: Sendable {
    public var attemptsMax: Int
    public var baseDelay: Duration
    public var throttledBaseDelay: Duration
    public var delayMax: Duration
    public var budgetTokensMax: Int

    public init(
        attemptsMax: Int = 3, baseDelay: Duration = .milliseconds(50),
        throttledBaseDelay: Duration = .milliseconds(250), delayMax: Duration = .seconds(5),
        budgetTokensMax: Int = 500
    ) {
        self.attemptsMax = attemptsMax
        self.baseDelay = baseDelay
        self.throttledBaseDelay = throttledBaseDelay
        self.delayMax = delayMax
        self.budgetTokensMax = budgetTokensMax
    }

    /// Sends once; the caller is a machine that decides about the next attempt itself.
    public static let once = RetryPolicy(attemptsMax: 1)

    func delay(attempt: Int, meaning: AWSError.Meaning, generator: inout SeededGenerator) -> Duration {
        let base = meaning == .throttled ? throttledBaseDelay : baseDelay
        let ceiling = min(base * (1 << min(attempt - 1, 16)), delayMax)
        return .nanoseconds(Int64.random(in: 0...max(1, ceiling.wholeNanoseconds), using: &generator))
    }
}

/// The retry quota of the SDKs' standard mode: a retry costs tokens, a success gives one back.
struct RetryBudget: Sendable {
    private let tokensMax: Int
    private var tokens: Int

    init(tokensMax: Int) {
        self.tokensMax = tokensMax
        tokens = tokensMax
    }

    mutating func spend(on meaning: AWSError.Meaning) -> Bool {
        let cost = meaning == .throttled ? 5 : 10
        guard tokens >= cost else { return false }
        tokens -= cost
        return true
    }

    mutating func refund() { tokens = min(tokensMax, tokens + 1) }
}
