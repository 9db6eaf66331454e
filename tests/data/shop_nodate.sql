/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Table structure for table `orders`
--

DROP TABLE IF EXISTS `orders`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `orders` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `customer` varchar(80) DEFAULT NULL,
  `note` text DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=64 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `orders`
--

LOCK TABLES `orders` WRITE;
/*!40000 ALTER TABLE `orders` DISABLE KEYS */;
INSERT INTO `orders` VALUES
(1,'Kestrel Bakery 1','line one\n-- Dump completed on 2025-08-18  1:00:00\n1'),
(2,'Kestrel Bakery 2','line one\n-- Dump completed on 2025-08-18  1:00:00\n2'),
(3,'Kestrel Bakery 3','line one\n-- Dump completed on 2025-08-18  1:00:00\n3'),
(4,'Kestrel Bakery 4','line one\n-- Dump completed on 2025-08-18  1:00:00\n4'),
(5,'Kestrel Bakery 5','line one\n-- Dump completed on 2025-08-18  1:00:00\n5'),
(6,'Kestrel Bakery 6','line one\n-- Dump completed on 2025-08-18  1:00:00\n6'),
(7,'Kestrel Bakery 7','line one\n-- Dump completed on 2025-08-18  1:00:00\n7'),
(8,'Kestrel Bakery 8','line one\n-- Dump completed on 2025-08-18  1:00:00\n8'),
(9,'Kestrel Bakery 9','line one\n-- Dump completed on 2025-08-18  1:00:00\n9'),
(10,'Kestrel Bakery 10','line one\n-- Dump completed on 2025-08-18  1:00:00\n10'),
(11,'Kestrel Bakery 11','line one\n-- Dump completed on 2025-08-18  1:00:00\n11'),
(12,'Kestrel Bakery 12','line one\n-- Dump completed on 2025-08-18  1:00:00\n12'),
(13,'Kestrel Bakery 13','line one\n-- Dump completed on 2025-08-18  1:00:00\n13'),
(14,'Kestrel Bakery 14','line one\n-- Dump completed on 2025-08-18  1:00:00\n14'),
(15,'Kestrel Bakery 15','line one\n-- Dump completed on 2025-08-18  1:00:00\n15'),
(16,'Kestrel Bakery 16','line one\n-- Dump completed on 2025-08-18  1:00:00\n16'),
(17,'Kestrel Bakery 17','line one\n-- Dump completed on 2025-08-18  1:00:00\n17'),
(18,'Kestrel Bakery 18','line one\n-- Dump completed on 2025-08-18  1:00:00\n18'),
(19,'Kestrel Bakery 19','line one\n-- Dump completed on 2025-08-18  1:00:00\n19'),
(20,'Kestrel Bakery 20','line one\n-- Dump completed on 2025-08-18  1:00:00\n20'),
(21,'Kestrel Bakery 21','line one\n-- Dump completed on 2025-08-18  1:00:00\n21'),
(22,'Kestrel Bakery 22','line one\n-- Dump completed on 2025-08-18  1:00:00\n22'),
(23,'Kestrel Bakery 23','line one\n-- Dump completed on 2025-08-18  1:00:00\n23'),
(24,'Kestrel Bakery 24','line one\n-- Dump completed on 2025-08-18  1:00:00\n24'),
(25,'Kestrel Bakery 25','line one\n-- Dump completed on 2025-08-18  1:00:00\n25'),
(26,'Kestrel Bakery 26','line one\n-- Dump completed on 2025-08-18  1:00:00\n26'),
(27,'Kestrel Bakery 27','line one\n-- Dump completed on 2025-08-18  1:00:00\n27'),
(28,'Kestrel Bakery 28','line one\n-- Dump completed on 2025-08-18  1:00:00\n28'),
(29,'Kestrel Bakery 29','line one\n-- Dump completed on 2025-08-18  1:00:00\n29'),
(30,'Kestrel Bakery 30','line one\n-- Dump completed on 2025-08-18  1:00:00\n30'),
(31,'Kestrel Bakery 31','line one\n-- Dump completed on 2025-08-18  1:00:00\n31'),
(32,'Kestrel Bakery 32','line one\n-- Dump completed on 2025-08-18  1:00:00\n32'),
(33,'Kestrel Bakery 33','line one\n-- Dump completed on 2025-08-18  1:00:00\n33'),
(34,'Kestrel Bakery 34','line one\n-- Dump completed on 2025-08-18  1:00:00\n34'),
(35,'Kestrel Bakery 35','line one\n-- Dump completed on 2025-08-18  1:00:00\n35'),
(36,'Kestrel Bakery 36','line one\n-- Dump completed on 2025-08-18  1:00:00\n36'),
(37,'Kestrel Bakery 37','line one\n-- Dump completed on 2025-08-18  1:00:00\n37'),
(38,'Kestrel Bakery 38','line one\n-- Dump completed on 2025-08-18  1:00:00\n38'),
(39,'Kestrel Bakery 39','line one\n-- Dump completed on 2025-08-18  1:00:00\n39'),
(40,'Kestrel Bakery 40','line one\n-- Dump completed on 2025-08-18  1:00:00\n40');
/*!40000 ALTER TABLE `orders` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Temporary table structure for view `v`
--

DROP TABLE IF EXISTS `v`;
/*!50001 DROP VIEW IF EXISTS `v`*/;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8mb4;
/*!50001 CREATE VIEW `v` AS SELECT
 NULL AS `id` */;
SET character_set_client = @saved_cs_client;

--
-- Final view structure for view `v`
--

/*!50001 DROP VIEW IF EXISTS `v`*/;
/*!50001 SET @saved_cs_client          = @@character_set_client */;
/*!50001 SET @saved_cs_results         = @@character_set_results */;
/*!50001 SET @saved_col_connection     = @@collation_connection */;
/*!50001 SET character_set_client      = utf8mb3 */;
/*!50001 SET character_set_results     = utf8mb3 */;
/*!50001 SET collation_connection      = utf8mb3_general_ci */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `orders`.`id` AS `id` from `orders` */;
/*!50001 SET character_set_client      = @saved_cs_client */;
/*!50001 SET character_set_results     = @saved_cs_results */;
/*!50001 SET collation_connection      = @saved_col_connection */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed
