import AWSWire
import OrderedCollections

/// The types of a request's members, as the service model has them.
///
/// The service reads a request into these types before it looks at any of them: a member of a wrong type is a
/// SerializationException, whatever else is wrong.
indirect enum DynamoDBShape: Sendable {
    case text
    case flag
    case whole
    case list(DynamoDBShape)
    case map(DynamoDBShape)
    case members([String: DynamoDBShape])
    /// An attribute value, which is read where it is used.
    case attribute

    func check(_ value: AWSValue) throws(ServiceError) {
        switch self {
        case .text:
            guard value.string != nil else { throw Self.mismatch(value, "a String") }
        case .flag:
            guard value.bool != nil else { throw Self.mismatch(value, "a Boolean") }
        case .whole:
            guard value.int != nil else { throw Self.mismatch(value, "an Integer") }
        case .list(let element):
            guard let list = value.list else { throw Self.unexpected(value) }
            for value in list { try element.check(value) }
        case .map(let element):
            guard let map = value.map else { throw Self.unexpected(value) }
            for value in map.values { try element.check(value) }
        case .members(let shapes):
            guard let map = value.map else { throw Self.unexpected(value) }
            for (name, value) in map where value != .null {
                if let shape = shapes[name] { try shape.check(value) }
            }
        case .attribute:
            guard value.map != nil else { throw Self.unexpected(value) }
        }
    }

    private static func mismatch(_ value: AWSValue, _ type: String) -> ServiceError {
        switch value {
        case .list, .map: unexpected(value)
        default: .serialization("\(value.kindName) can not be converted to \(type)")
        }
    }

    private static func unexpected(_ value: AWSValue) -> ServiceError {
        switch value {
        case .list: .serialization("Unexpected token received from parser: START_ARRAY")
        case .map: .serialization("Start of structure or map found where not expected")
        default: .serialization("Unexpected field type: \(value.kindName)")
        }
    }
}

// MARK: The operations

extension DynamoDBShape {
    /// What each operation that is emulated takes.
    static let operations: [String: DynamoDBShape] = [
        "GetItem": .members(reading.adding(["Key": .map(.attribute), "TableName": .text])),
        "PutItem": .members(writing.adding(["Item": .map(.attribute)])),
        "UpdateItem": .members(
            writing.adding([
                "Key": .map(.attribute), "UpdateExpression": .text,
                "AttributeUpdates": .map(.members(["Value": .attribute, "Action": .text])),
            ])),
        "DeleteItem": .members(writing.adding(["Key": .map(.attribute)])),
        "Query": .members(
            paging.adding([
                "KeyConditions": conditions, "QueryFilter": conditions, "KeyConditionExpression": .text,
                "ScanIndexForward": .flag,
            ])),
        "Scan": .members(paging.adding(["ScanFilter": conditions, "Segment": .whole, "TotalSegments": .whole])),
        "BatchGetItem": .members([
            "RequestItems": .map(.members(reading.adding(["Keys": .list(.map(.attribute))]))),
            "ReturnConsumedCapacity": .text,
        ]),
        "BatchWriteItem": .members([
            "RequestItems": .map(
                .list(
                    .members([
                        "PutRequest": .members(["Item": .map(.attribute)]),
                        "DeleteRequest": .members(["Key": .map(.attribute)]),
                    ]))),
            "ReturnConsumedCapacity": .text, "ReturnItemCollectionMetrics": .text,
        ]),
        "TransactWriteItems": .members([
            "TransactItems": .list(
                .members([
                    "ConditionCheck": .members(action), "Put": .members(action), "Delete": .members(action),
                    "Update": .members(action),
                ])),
            "ReturnConsumedCapacity": .text, "ReturnItemCollectionMetrics": .text, "ClientRequestToken": .text,
        ]),
        "TransactGetItems": .members([
            "TransactItems": .list(.members(["Get": .members(action)])), "ReturnConsumedCapacity": .text,
        ]),
        "CreateTable": .members(
            tableSettings.adding([
                "KeySchema": keySchema, "LocalSecondaryIndexes": .list(index), "GlobalSecondaryIndexes": .list(index),
                "Tags": tags, "ResourcePolicy": .text,
            ])),
        "UpdateTable": .members(
            tableSettings.adding([
                "GlobalSecondaryIndexUpdates": .list(.members(["Update": index, "Create": index, "Delete": index])),
                "ReplicaUpdates": .list(.members([:])), "MultiRegionConsistency": .text,
            ])),
        "DeleteTable": .members(["TableName": .text]), "DescribeTable": .members(["TableName": .text]),
        "ListTables": .members(["ExclusiveStartTableName": .text, "Limit": .whole]),
        "DescribeTimeToLive": .members(["TableName": .text]),
        "UpdateTimeToLive": .members([
            "TableName": .text, "TimeToLiveSpecification": .members(["Enabled": .flag, "AttributeName": .text]),
        ]),
        "DescribeContinuousBackups": .members(["TableName": .text]),
        "UpdateContinuousBackups": .members([
            "TableName": .text,
            "PointInTimeRecoverySpecification": .members([
                "PointInTimeRecoveryEnabled": .flag, "RecoveryPeriodInDays": .whole,
            ]),
        ]),
        "TagResource": .members(["ResourceArn": .text, "Tags": tags]),
        "UntagResource": .members(["ResourceArn": .text, "TagKeys": .list(.text)]),
        "ListTagsOfResource": .members(["ResourceArn": .text, "NextToken": .text]),
        "DescribeLimits": .members([:]),
    ]

    private static let expressions: [String: DynamoDBShape] = [
        "ExpressionAttributeNames": .map(.text), "ExpressionAttributeValues": .map(.attribute),
    ]

    private static let conditions = DynamoDBShape.map(
        .members(["AttributeValueList": .list(.attribute), "ComparisonOperator": .text]))

    private static let reading: [String: DynamoDBShape] = [
        "AttributesToGet": .list(.text), "ConsistentRead": .flag, "ReturnConsumedCapacity": .text,
        "ProjectionExpression": .text, "ExpressionAttributeNames": .map(.text),
    ]

    private static let paging = reading.adding(expressions).adding([
        "TableName": .text, "IndexName": .text, "Select": .text, "Limit": .whole, "ConditionalOperator": .text,
        "ExclusiveStartKey": .map(.attribute), "FilterExpression": .text,
    ])

    private static let writing = expressions.adding([
        "TableName": .text, "ReturnValues": .text, "ReturnConsumedCapacity": .text,
        "ReturnItemCollectionMetrics": .text, "ConditionalOperator": .text, "ConditionExpression": .text,
        "ReturnValuesOnConditionCheckFailure": .text,
        "Expected": .map(
            .members([
                "Value": .attribute, "Exists": .flag, "ComparisonOperator": .text,
                "AttributeValueList": .list(.attribute),
            ])),
    ])

    private static let action = expressions.adding([
        "TableName": .text, "Key": .map(.attribute), "Item": .map(.attribute), "ConditionExpression": .text,
        "UpdateExpression": .text, "ProjectionExpression": .text, "ReturnValuesOnConditionCheckFailure": .text,
    ])

    private static let units = DynamoDBShape.members(["ReadCapacityUnits": .whole, "WriteCapacityUnits": .whole])
    private static let requestUnits = DynamoDBShape.members([
        "MaxReadRequestUnits": .whole, "MaxWriteRequestUnits": .whole,
    ])
    private static let warmUnits = DynamoDBShape.members([
        "ReadUnitsPerSecond": .whole, "WriteUnitsPerSecond": .whole,
    ])
    private static let keySchema = DynamoDBShape.list(.members(["AttributeName": .text, "KeyType": .text]))
    private static let tags = DynamoDBShape.list(.members(["Key": .text, "Value": .text]))

    private static let index = DynamoDBShape.members([
        "IndexName": .text, "KeySchema": keySchema, "ProvisionedThroughput": units,
        "Projection": .members(["ProjectionType": .text, "NonKeyAttributes": .list(.text)]),
        "OnDemandThroughput": requestUnits, "WarmThroughput": warmUnits,
    ])

    private static let tableSettings: [String: DynamoDBShape] = [
        "TableName": .text, "BillingMode": .text, "ProvisionedThroughput": units, "TableClass": .text,
        "AttributeDefinitions": .list(.members(["AttributeName": .text, "AttributeType": .text])),
        "DeletionProtectionEnabled": .flag, "OnDemandThroughput": requestUnits, "WarmThroughput": warmUnits,
        "StreamSpecification": .members(["StreamEnabled": .flag, "StreamViewType": .text]),
        "SSESpecification": .members(["Enabled": .flag, "SSEType": .text, "KMSMasterKeyId": .text]),
    ]
}

extension [String: DynamoDBShape] {
    fileprivate func adding(_ more: [String: DynamoDBShape]) -> [String: DynamoDBShape] { merging(more) { $1 } }
}
