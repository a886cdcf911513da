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
        let ceiling = min(base * (1 << max(0, min(attempt - 1, 16))), delayMax)
        return .nanoseconds(Int64.random(in: 0...max(1, ceiling.wholeNanoseconds), using: &generator))
    }
}

/// The retry quota of the SDKs' standard mode: a retry costs tokens. A retry that succeeds gives back what it cost, any
/// other success one token.
struct RetryBudget: Sendable {
    private let tokensMax: Int
    private(set) var tokens: Int

    init(tokensMax: Int) {
        self.tokensMax = tokensMax
        tokens = tokensMax
    }

    /// What the retry costs; `nil` where the budget does not cover it.
    mutating func spend(on meaning: AWSError.Meaning) -> Int? {
        let cost = meaning == .throttled ? 5 : 10
        guard tokens >= cost else { return nil }
        tokens -= cost
        return cost
    }

    /// - Parameter cost: of the retry that succeeded; `nil` for a first attempt.
    mutating func refund(_ cost: Int?) { tokens = min(tokensMax, tokens + (cost ?? 1)) }
}
