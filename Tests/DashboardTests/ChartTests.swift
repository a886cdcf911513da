import Dashboard
import Testing

@Suite struct ChartTests {
    private let gradient = Gradient(start: .rgb(0, 255, 0), middle: .rgb(255, 255, 0), end: .rgb(255, 0, 0))

    private func rows(
        _ values: [Double], _ symbols: GraphSymbols, width: Int, height: Int, maximum: Double? = nil,
        direction: Graph.Direction = .up
    ) -> [String] {
        var buffer = CellBuffer(width: width, height: height)
        let graph = Graph(
            values: values, maximum: maximum, gradient: gradient, symbols: symbols, direction: direction)
        graph.draw(in: buffer.bounds, on: &buffer)
        return buffer.textDump.split(separator: "\n").map(String.init)
    }

    @Test func brailleShowsTwoSamplesPerColumnNewestAtTheRight() {
        #expect(rows([0, 1, 2, 3, 4], .braille, width: 3, height: 1, maximum: 4) == ["⢀⣠⣾"])
        #expect(rows([4], .braille, width: 2, height: 1, maximum: 4) == [" ⢸"])
    }

    @Test func blockShowsEighths() {
        #expect(rows([0, 1, 2, 3, 4, 5, 6, 7, 8], .block, width: 9, height: 1, maximum: 8) == ["▁▁▂▃▄▅▆▇█"])
        #expect(rows([8, 12], .block, width: 2, height: 2, maximum: 16) == [" ▄", "██"])
    }

    @Test func asciiNeedsNoOtherCharacters() {
        let lines = rows([0, 1, 2, 3, 6], .ascii, width: 5, height: 2, maximum: 6)
        #expect(lines == ["    |", "..:||"])
        #expect(lines.joined().utf8.count == 10)
    }

    @Test func aGapIsBlankAndZeroIsNot() {
        #expect(rows([.nan, 0, .nan, 8], .block, width: 4, height: 1, maximum: 8) == [" ▁ █"])
    }

    @Test func withoutAMaximumTheLargestValueInViewFillsTheHeight() {
        #expect(rows([900, 1, 2], .block, width: 2, height: 1) == ["▄█"])
        #expect(rows([0, 0], .block, width: 2, height: 1) == ["▁▁"])
    }

    @Test func brokenValuesNeverTrap() {
        let values = [Double.infinity, -.infinity, .nan, -5, 1e300, .leastNonzeroMagnitude]
        for symbols in GraphSymbols.allCases {
            #expect(rows(values, symbols, width: 6, height: 3).count == 3)
            #expect(rows(values, symbols, width: 6, height: 3, maximum: 0).count == 3)
            #expect(rows(values, symbols, width: 6, height: 3, maximum: .nan, direction: .down).count == 3)
        }
    }

    @Test func growingDownStartsAtTheTop() {
        #expect(rows([4, 2], .braille, width: 1, height: 1, maximum: 4, direction: .down) == ["⡟"])
        #expect(rows([6, 3], .ascii, width: 2, height: 2, maximum: 6, direction: .down) == ["||", "| "])
    }

    @Test func aMeterFillsToItsFraction() {
        func meter(_ fraction: Double, ascii: Bool) -> String {
            var buffer = CellBuffer(width: 10, height: 1)
            let meter = Meter(
                fraction: fraction, gradient: gradient, symbols: ascii ? .ascii : .braille, ground: .plain)
            meter.draw(in: buffer.bounds, on: &buffer)
            return buffer.textDump
        }
        #expect(meter(0.5, ascii: true) == "#####.....\n")
        #expect(meter(0.001, ascii: true) == "#.........\n")
        #expect(meter(.nan, ascii: true) == "..........\n")
        #expect(meter(7, ascii: false) == "■■■■■■■■■■\n")
        #expect(meter(0.2, ascii: false) == "■■········\n", "without colours the rest is another character")
    }

    @Test func gradientsHaveFixedEnds() {
        #expect(gradient.color(at: -3) == .rgb(0, 255, 0))
        #expect(gradient.color(at: 0.5) == .rgb(255, 255, 0))
        #expect(gradient.color(at: 99) == .rgb(255, 0, 0))
        #expect(gradient.color(at: .nan) == .rgb(0, 255, 0))
        #expect(Set(Gradient(start: .rgb(1, 2, 3)).steps) == [.rgb(1, 2, 3)])
    }

    @Test(arguments: [1, 7, 40, 80])
    func proportionsFillTheWidthExactly(width: Int) {
        let weights = [1.0, 1, 2, 0, 40, 0.5, .nan]
        let parts = Proportions.columns(of: weights, width: width)
        #expect(parts.count == weights.count)
        #expect(parts.reduce(0) { $0 + $1.width } == width)
        if width >= weights.count { #expect(parts.allSatisfy { $0.width >= 1 }) }
        for (part, following) in zip(parts, parts.dropFirst()) { #expect(part.x + part.width == following.x) }
    }

    @Test func aSparklineTakesItsColourFromTheValue() {
        var buffer = CellBuffer(width: 2, height: 1)
        Graph(values: [1, 8], maximum: 8, gradient: gradient, symbols: .block).draw(in: buffer.bounds, on: &buffer)
        #expect(buffer[1, 0].style.foreground == .rgb(255, 0, 0))
        #expect(buffer[0, 0].style.foreground != buffer[1, 0].style.foreground)
    }
}
